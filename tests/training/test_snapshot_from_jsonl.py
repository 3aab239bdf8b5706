"""A snapshot from a JSONL file: it verifies and trains, keeps duplicates together, and refuses by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from training.__main__ import main
from training.contract.snapshot.reader import Report, snapshot_rows, snapshot_verify
from training.errors import BadInput
from training.snapshot_from_jsonl import snapshot_make


def written(folder: Path, *records: object) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path


def chats(count: int) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": f"Where is parcel {n}?"},
                          {"role": "assistant", "content": f"Parcel {n} is on its way."}]} for n in range(count)]


def made(source: Path, out: Path, **changes: Any) -> Report:
    return snapshot_make(source, out, **{"validation": 0.1, "test": 0.2, "seed": 0, "name": ""} | changes)


def test_chat_lines_become_a_snapshot_that_verifies(tmp_path: Path) -> None:
    report = made(written(tmp_path, *chats(20)), tmp_path / "snapshot")
    assert report.splits == {"train": 14, "validation": 2, "test": 4}
    again = snapshot_verify(tmp_path / "snapshot", report.root)
    assert (again.problems, again.root) == ([], report.root)
    row = snapshot_rows(tmp_path / "snapshot", "train", 1)[0]
    assert [(m.role, m.weight) for m in row.messages] == [("user", 0), ("assistant", 1)]


def test_the_seed_decides_the_split_and_the_same_file_gives_the_same_root(tmp_path: Path) -> None:
    source = written(tmp_path, *chats(20))
    roots = [made(source, tmp_path / name, seed=seed).root for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert roots[0] == roots[1] != roots[2]


def test_the_same_conversation_is_in_one_split(tmp_path: Path) -> None:
    made(written(tmp_path, *chats(8), *chats(8)), tmp_path / "snapshot")
    groups = [{r.group for r in snapshot_rows(tmp_path / "snapshot", s)} for s in ("train", "validation", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 8


def test_three_conversations_fill_every_split(tmp_path: Path) -> None:
    assert made(written(tmp_path, *chats(3)), tmp_path / "s").splits == {"train": 1, "validation": 1, "test": 1}


def test_complete_rows_are_kept_as_they_are(tmp_path: Path) -> None:
    records = builders.rows(6, 2, 2)
    report = made(written(tmp_path, *records), tmp_path / "snapshot")
    assert report.root == builders.snapshot(tmp_path / "by-hand", records)[1]


def test_plain_texts_become_rows(tmp_path: Path) -> None:
    made(written(tmp_path, *({"text": f"Text {n}."} for n in range(4))), tmp_path / "snapshot")
    assert snapshot_rows(tmp_path / "snapshot", "test")[0].extra["text"].startswith("Text ")


@pytest.mark.parametrize(("line", "named"), [
    ("{", "line 2 is not JSON"), ("[" * 100_000, "line 2 is not JSON"), ("[]", "line 2 has no messages"),
    ('{"text": 5}', "line 2 has no messages"), ({"messages": [], "tools": []}, "line 2 has unknown field 'tools'"),
    ({"messages": []}, "line 2: row 'row-00000002' has no messages"), ({"messages": 5}, "has no messages"),
    ({"messages": [{"role": "agent", "content": "x"}]}, "line 2: .* has role 'agent'"),
    ({"messages": [{"role": "user", "content": None}]}, "line 2: .* content of type NoneType"),
    ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "line 2 has a message with 'name'"),
    ({"messages": [{"role": "assistant", "content": "x", "weight": 2}]}, "line 2: .* weight 2"),
    (chats(1)[0] | {"group": 5}, "line 2 has group 5"), (chats(1)[0] | {"split": "dev"}, "line 2: .* split 'dev'"),
    (chats(1)[0] | {"id": "row-00000001"}, "occurs twice"), (chats(1)[0] | {"extra": {"a": "\ud800"}}, "not Unicode"),
])
def test_an_invalid_line_is_refused_and_no_folder_remains(tmp_path: Path, line: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        made(written(tmp_path, chats(2)[1], line), tmp_path / "out" / "snapshot")
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("shares", [{"test": 1.0}, {"test": -0.1}, {"validation": float("nan")},
                                    {"validation": 0.5, "test": 0.5}])
def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path: Path, shares: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=r"share of|leave at least"):
        made(written(tmp_path, *chats(3)), tmp_path / "snapshot", **shares)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    source = written(tmp_path, *chats(3))
    with pytest.raises(BadInput, match="is not empty"):
        made(source, tmp_path)
    assert list(tmp_path.iterdir()) == [source]


def test_the_command_prints_the_root_that_a_specification_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = written(tmp_path, *chats(10))
    assert main(["snapshot", str(source), str(tmp_path / "s")]) == 0
    ok, root, *counts = capsys.readouterr().out.split()
    assert (ok, " ".join(counts)) == ("OK", "10 rows (train 8, validation 1, test 1)")
    assert json.loads((tmp_path / "s" / "manifest.json").read_text())["merkle_root"] == root
    assert main(["snapshot", str(tmp_path / "nowhere"), str(tmp_path / "t")]) == 2
