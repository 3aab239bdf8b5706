"""Pages of models: the list by project, one model's lineage down to its examples, promotion, suggestions."""

from __future__ import annotations

import zipfile
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import NotFound, UserError
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import allow
from flywheel.runs import access, domain, selectors, services
from flywheel.runs.models import ModelVersion
from flywheel.runs.services.artifacts import MODEL_FOLDER, chunks_of, stored_open
from flywheel.runs.tables import MODELS
from provenance.access import subject_asked

LINEAGE_ROWS = 8
GENERATIONS = 12


@permitted("model.view")
@require_GET
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """Models, newest first."""
    models = access.models_of(request.user).select_related("project", "run__evaluation", "run__recipe")
    if subject := subject_asked(request.user, request.GET):
        models = models.filter(run__snapshot__in=selectors.snapshots_holding(subject.uid))
    projects = access.projects_seen(request.user).order_by("name").values_list("slug", "name")[:200]
    table = MODELS.page(request, models, choices={"project": list(projects)}, scope=("subject",))
    table.extras = selectors.acceptances_of(table.rows)
    return render(request, "runs/models.html", {"table": table, "subject": subject})


@permitted("model.view")
@require_GET
def detail(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """One model: the rule and its numbers, lineage, samples, acceptance by generation."""
    model = access.model_of(request.user, name)
    rows = selectors.rows_of(model)
    generations = list(
        ModelVersion.objects.filter(project=model.project).order_by("-generation")[:GENERATIONS]
    )
    acceptances = selectors.acceptances_of(generations)
    tainted = model.run.snapshot.status == "tainted"
    context = {
        "model": model, "run": model.run, "snapshot": model.run.snapshot,
        "evaluation": getattr(model.run, "evaluation", None), "samples": selectors.samples_of(model.run),
        "spec": model.run.spec, "verdict": selectors.verdict_of(model),
        "rule": domain.RULE, "examples": list(rows.order_by("leaf_index")[:LINEAGE_ROWS]),
        "generations": [{"model": m, "acceptance": acceptances[m.pk]} for m in generations],
        "batch": model.batches.order_by("-pk").first(), "champion": _champion(model), "tainted": tainted,
        "may_promote": allow("model.promote", request.user, model) and not tainted
        and model.status in (ModelVersion.Status.CANDIDATE, ModelVersion.Status.RETIRED),
        "may_decide": allow("model.decide", request.user, model), "decisions": ModelVersion.Decision.choices,
        "may_publish": model.status == ModelVersion.Status.CHAMPION
        and allow("suggestions.publish", request.user, model.project),
    }
    return render(request, "runs/model.html", context)


def _champion(model: ModelVersion) -> ModelVersion | None:
    return ModelVersion.objects.filter(project=model.project, status=ModelVersion.Status.CHAMPION).first()


@permitted("model.view")
@require_GET
def rows(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Every example that the model was trained or measured on."""
    model = access.model_of(request.user, name)
    split = request.GET.get("split", "")
    found = selectors.rows_of(model)
    if split:
        found = found.filter(split=split)
    page = keyset_page(found, request.GET, newest_first=False)
    return render(request, "runs/model_rows.html", {"model": model, "page": page, "split": split})


@permitted("model.promote")
@require_POST
def promote(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Make the model champion, and have it suggest when that was ticked."""
    model = access.model_of(request.user, name)
    try:
        model = services.model_promote(
            model=model, by=request.user, override_reason=request.POST.get("override_reason", "")
        )
        messages.success(request, f"{model.name} is champion of '{model.project.name}'.")
        if request.POST.get("publish"):
            _publish(request, model)
    except UserError as error:
        messages.error(request, error.message)
    return redirect("runs:model", name=model.name)


@permitted("model.decide")
@require_POST
def decide(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Record what becomes of a model of withdrawn rows."""
    model = access.model_of(request.user, name)
    try:
        services.model_decide(
            model=model, decision=request.POST.get("decision", ""), reason=request.POST.get("reason", ""),
            by=request.user,
        )
    except UserError as error:
        messages.error(request, f"Not recorded: {error.message}.")
    else:
        messages.success(request, "The decision is recorded.")
    return redirect("runs:model", name=model.name)


@permitted("suggestions.publish")
@require_POST
def publish(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Queue the champion's suggestions onto tasks without an annotation."""
    model = access.model_of(request.user, name)
    try:
        _publish(request, model)
    except UserError as error:
        messages.error(request, error.message)
    return redirect("runs:model", name=model.name)


def _publish(request: AuthenticatedRequest, model: ModelVersion) -> None:
    batch = services.suggestions_publish(model=model, by=request.user)
    if batch is None:
        messages.info(request, "No open task is without this model's suggestion.")
    else:
        told = f"Suggestions for {batch.total} tasks are queued; tasks made later follow by themselves."
        messages.success(request, told)


@permitted("model.view")
@require_GET
def download(request: AuthenticatedRequest, name: str) -> HttpResponseBase:
    """The model's files as one zip: adapter or weights, tokenizer, card."""
    model = access.model_of(request.user, name)
    files: list[Any] = list(model.run.artifacts.filter(path__startswith=MODEL_FOLDER).order_by("path"))
    if not files:
        raise NotFound(f"model {model.name} has no files")
    with ExitStack() as opened:
        packed = opened.enter_context(TemporaryFile())
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                name_in_zip = f"{model.name}/{file.path.removeprefix(MODEL_FOLDER)}"
                with archive.open(name_in_zip, "w", force_zip64=True) as target:
                    for chunk in chunks_of(stored_open(file.storage_path)):
                        target.write(chunk)
        size = packed.tell()
        packed.seek(0)
        # Nothing failed, so the response closes the file once it is sent.
        opened.pop_all()
    return FileResponse(
        packed, as_attachment=True, filename=f"{model.name}.zip", content_type="application/zip",
        headers={"Content-Length": str(size)},
    )
