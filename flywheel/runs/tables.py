"""The lists of runs and models."""

from __future__ import annotations

from flywheel.runs.models import ModelVersion, TrainingRun
from flywheel.ui.tables import Column, Facet, Search, Table, View, holds

RUNS: Table[TrainingRun] = Table(
    things="runs",
    columns=(
        Column("name", "Run", sort="name", main=True),
        Column("recipe", "Recipe", shown=False),
        Column("snapshot", "Snapshot"),
        Column("status", "Status"),
        Column("steps", "Steps", numeric=True, shown=False),
        Column("loss", "Loss on test", numeric=True),
        Column("time", "Time", numeric=True, sort="seconds"),
        Column("estimate", "Estimated time", numeric=True),
        Column("cost", "Cost", numeric=True, sort="cost"),
        Column("estimated_cost", "Estimated cost", numeric=True),
        Column("device", "Device", shown=False),
        Column("requested", "Requested", sort="pk"),
    ),
    search=Search("Name", holds("name"), "A part of the name"),
    facets=(Facet("status", "Status", "status", TrainingRun.Status.choices), Facet("recipe", "Recipe", "recipe__name")),
    views=(View("Most expensive", "sort=-cost"), View("Longest", "sort=-seconds")),
    per_page=30,
)

MODELS: Table[ModelVersion] = Table(
    things="models",
    columns=(
        Column("name", "Model", sort="name", main=True),
        Column("project", "Project"),
        Column("recipe", "Recipe", shown=False),
        Column("status", "Status"),
        Column("generation", "Generation", numeric=True, sort="generation"),
        Column("base_loss", "Base loss", numeric=True),
        Column("tuned_loss", "Tuned loss", numeric=True),
        Column("accepted", "Accepted unchanged", numeric=True),
        Column("distance", "Edit distance", numeric=True),
        Column("made", "Made", sort="pk"),
    ),
    search=Search("Name", holds("name"), "A part of the name"),
    facets=(
        Facet("project", "Project", "project__slug"),
        Facet("status", "Status", "status", ModelVersion.Status.choices),
    ),
    views=(View("Champions", "status=champion"), View("To be trained again", "status=retrain_required")),
    per_page=30,
)
