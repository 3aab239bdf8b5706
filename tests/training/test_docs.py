"""docs/trainer.md keeps up with the specification and the commands."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from training.__main__ import main
from training.contract.spec import METHODS, TUNINGS, EvaluationPlan, Hyperparameters, Limits, RunSpec, SnapshotRef

DOCS = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text()
PARTS = {"snapshot": SnapshotRef, "hyperparameters": Hyperparameters, "limits": Limits, "evaluation": EvaluationPlan}


def rows() -> dict[str, tuple[str, str]]:
    """Each field of the table with its default and its values."""
    found: dict[str, tuple[str, str]] = {}
    for names, default, values in re.findall(r"^\| (`[a-z_.`, ]+) \| (.*?) ?\| (.*) \|$", DOCS, re.MULTILINE):
        defaults = default.split(", ")
        part = ""
        for number, name in enumerate(re.findall(r"`([a-z_.]+)`", names)):
            part = name.rpartition(".")[0] or part
            full = name if "." in name or not part else f"{part}.{name}"
            found[full] = (defaults[min(number, len(defaults) - 1)].strip("`"), values)
    return found


def test_every_field_of_a_specification_is_in_the_table_with_its_default() -> None:
    table = rows()
    wanted = {f.name: f for f in dataclasses.fields(RunSpec) if f.name not in PARTS}
    for part, kind in PARTS.items():
        wanted |= {f"{part}.{f.name}": f for f in dataclasses.fields(kind)}
    assert wanted.keys() <= table.keys()
    for name, field in wanted.items():
        if field.default is not dataclasses.MISSING:
            shown = field.default if isinstance(field.default, str) and field.default else json.dumps(field.default)
            assert table[name][0] == shown, name


def test_every_method_and_tuning_is_named() -> None:
    table = rows()
    assert table["method"][1] == ", ".join(f"`{m}`" for m in METHODS)
    assert table["tuning"][1] == ", ".join(f"`{t}`" for t in TUNINGS)


def test_every_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    for name in re.findall(r"^    ([a-z-]+) ", capsys.readouterr().out, re.MULTILINE):
        assert f"python -m training {name}" in DOCS


def test_every_test_that_the_docs_name_exists() -> None:
    for name in re.findall(r"`(test_\w+\.py)`", DOCS):
        assert list(Path(__file__).parent.rglob(name)), name
