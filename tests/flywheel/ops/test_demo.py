"""The demo: what it makes of people's files and slips, what it says, and what is left when it is stopped."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from flywheel.capture.models import Example, Source
from flywheel.capture.services import process_captures
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.ops.demo.datasets import SampleMaterial, plan
from flywheel.ops.demo.pipeline import Report
from flywheel.ops.demo.processes import Busy, claim
from flywheel.ops.demo.user_files import FileMaterial
from flywheel.ops.management.commands.demo import Stop

KEYS = [
    "captured", "duplicates", "annotated", "cleared", "refused", "snapshot_root", "splits", "tokens", "run_status",
    "base_loss", "tuned_loss", "train_seconds", "model", "promoted", "suggestions",
]


def questions(path: Path, count: int, *, labels: int = 4) -> Path:
    """A table in Banking77's form, sorted by its labels as the original is."""
    rows = [f"Question {n} about topic {n * labels // count}?,topic_{n * labels // count}" for n in range(count)]
    path.write_text("\n".join(["text,category", *rows]) + "\n")
    return path


def dialogue(name: str) -> dict[str, Any]:
    turns = [{"speaker": "USER", "utterance": f"I need a table for {name}."},
             {"speaker": "SYSTEM", "utterance": "For when?"}]
    return {"dialogue_id": name, "services": ["Restaurants_1"], "turns": turns}


def test_the_report_has_exactly_the_keys_that_are_documented() -> None:
    assert [field.name for field in dataclasses.fields(Report)] == KEYS
    json.dumps(dataclasses.asdict(Report()))


@pytest.mark.django_db
def test_a_limit_takes_evenly_from_files_that_are_sorted(tmp_path: Path, admin: User) -> None:
    material = FileMaterial(questions(tmp_path / "q.csv", 100))
    assert plan(material, 8) == 8
    assert [o.status for o in material.capture(by=admin)] == ["captured"] * 8
    while process_captures():
        pass
    assert sorted(Example.objects.values_list("label", flat=True)) == sorted([f"topic_{n}" for n in range(4)] * 2)
    answers = {material.answer(e).reply for e in Example.objects.all()}
    assert answers == {"topic_0", "topic_1", "topic_2", "topic_3"}


@pytest.mark.parametrize(("limit", "planned"), [(None, 20), (5, 5), (20, 20), (21, 20), (sys.maxsize, 20)])
def test_a_limit_is_a_bound_and_more_than_there_is_means_all(tmp_path: Path, limit: int | None, planned: int) -> None:
    assert plan(FileMaterial(questions(tmp_path / "q.csv", 20)), limit) == planned


@pytest.mark.django_db
def test_each_format_of_a_folder_is_a_source_under_its_own_licence(tmp_path: Path, admin: User) -> None:
    questions(tmp_path / "a.csv", 3)
    (tmp_path / "b.json").write_text(json.dumps([dialogue(f"d{n}") for n in range(3)]))
    ticket = {"external_id": "1", "source": "elsewhere", "messages": [{"role": "customer", "text": "Where is it?"}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(ticket) + "\n")
    (tmp_path / "schema.json").write_text(json.dumps([{"service_name": "Restaurants_1"}]))
    (tmp_path / "notes.txt").write_text("nothing to capture")
    material = FileMaterial(tmp_path)
    assert plan(material, None) == 7
    assert {o.status for o in material.capture(by=admin)} == {"captured"}
    found = {s.name: (s.license_spdx, s.captures.count()) for s in Source.objects.all()}
    assert found == {
        "demo-banking77": ("CC-BY-4.0", 3), "demo-sgd": ("CC-BY-SA-4.0", 3), "demo-flywheel": ("", 1),
    }
    assert "no licence is known" in material.notes[-1]


def test_a_licence_on_the_command_line_counts_for_everything(tmp_path: Path) -> None:
    material = FileMaterial(questions(tmp_path / "q.csv", 5), "CC-BY-NC-4.0")
    assert material.notes == ["banking77: under CC-BY-NC-4.0, as named on the command line"]


@pytest.mark.django_db
def test_records_that_cannot_be_read_are_told_by_line(tmp_path: Path, admin: User) -> None:
    (tmp_path / "q.csv").write_text("text,category\none,a\ntwo,b\nthree\nfour,c\nfive,d\n")
    material = FileMaterial(tmp_path / "q.csv")
    plan(material, None)
    bad = [o for o in material.capture(by=admin) if o.status == "bad"]
    assert [o.line for o in bad] == [4]
    assert "has 1 cells" in bad[0].reason


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.csv", None, "does not exist"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"text,category\n", "needs at least 5 conversations"),
        ("four.csv", b"text,category\n" + b"a b,c\n" * 4, "needs at least 5 conversations"),
        ("wrong.csv", b"a,b,c\n1,2,3\n", "has no known conversations"),
        ("list.json", b"[]", "has no known conversations"),
        ("broken.json", b'{"a":1', "starts like JSON but is not"),
        ("wide.csv", "text,category\n".encode("utf-16"), "is UTF-16"),
        ("noise.csv", bytes(range(128, 256)) * 8, "has no known conversations"),
        ("notes.zip", b"PK\x03\x04 no zip at all", "is not a complete zip file"),
    ],
)
def test_a_file_that_cannot_turn_the_wheel_is_refused_before_anything_is_cleared_away(
    tmp_path: Path, name: str, content: bytes | None, words: str, settings: Any
) -> None:
    settings.VAR_DIR = tmp_path / "var"
    (tmp_path / "var" / "demo").mkdir(parents=True)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CommandError, match=words):
        call_command("demo", data=str(tmp_path / name), model="tiny")
    assert (tmp_path / "var" / "demo").is_dir()


def test_a_folder_without_conversations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="holds no file with conversations"):
        call_command("demo", data=str(tmp_path), model="tiny")


@pytest.mark.parametrize(("limit", "words"), [(0, "LIMIT is 0"), (-3, "LIMIT is -3"), (4, "LIMIT is 4")])
def test_a_limit_that_is_too_small_is_refused(limit: int, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("demo", limit=limit, model="tiny")


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(CommandError, match="invalid choice: 'unknown'"):
        call_command("demo", "--model", "unknown")


def test_a_small_limit_takes_both_kinds_of_the_sample() -> None:
    material = SampleMaterial()
    assert plan(material, 10) == 10
    assert {"segments" in row for row in material._rows} == {True, False}
    with pytest.raises(ValidationFailed, match="LIMIT is 1;"):
        plan(material, 1)


def test_two_demos_never_share_a_folder(tmp_path: Path) -> None:
    held = claim(tmp_path / "demo")
    try:
        with pytest.raises(Busy, match=f"processes {os.getpid()}"):
            claim(tmp_path / "demo")
    finally:
        os.close(held)
    os.close(claim(tmp_path / "demo"))


def test_a_stop_that_was_swallowed_counts_at_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    stop = Stop()
    with stop.bar(desc="capture", total=2) as bar:
        bar.update()
        with contextlib.suppress(KeyboardInterrupt):
            stop(signal.SIGTERM, None)
        with pytest.raises(KeyboardInterrupt):
            bar.update()
    with pytest.raises(KeyboardInterrupt):
        stop.check()
    assert "capture" in capsys.readouterr().err
