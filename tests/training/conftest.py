"""The tiny base model, made once, and a fresh specification over a fresh snapshot for each test."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests with the tiny model as slow, because importing torch takes longer than most test files."""
    for item in items:
        if "tiny" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # All imports happen here, because a library that imports another during a test would keep that test's patches.
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401

    from training.base_models import base_model_make

    # A model this small gains nothing from threads, and loses much when other tests hold the cores.
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    base_model_make("tiny", folder)
    # Half a million objects of torch and transformers stay for the whole session. The trainer collects garbage several times a
    # run, and would look at each of them every time: a third of all that these tests cost.
    gc.freeze()
    return folder


@pytest.fixture(scope="session")
def tokenizer(tiny: Path) -> Any:
    from training.models import tokenizer_load

    return tokenizer_load(tiny)


@pytest.fixture
def spec_of(tiny: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Give a specification over a snapshot of `records` (a small one by default)."""

    def make(records: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
        folder, root = builders.snapshot(tmp_path / "snapshot", records)
        return builders.spec(folder, root, tiny, **changes)

    return make
