"""The documents name what is there: every function and module in the two walk-throughs, every path, every template load."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from django.template.base import Lexer, TokenType

from tests.sweeps import check_each

ROOT = Path(__file__).resolve().parents[1]
LIFE = (ROOT / "docs" / "life-of-an-example.md").read_text()
DIRECTORIES = (ROOT / "docs" / "directory-structure.md").read_text()

# From the bottom up, as the import contract has it.
FLOORS = (
    "core", "ui", "work", "stats", "audit", "privacy", "provenance", "capture", "annotation", "datasets", "runs", "accounts",
    "dashboard", "ops",
)


def resolve(name: str) -> object:
    """The module, or the thing inside a module, of this dotted name. Raises AssertionError."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            assert hasattr(found, part), f"{'.'.join(parts[:cut])} has no {part}"
            found = getattr(found, part)
        return found
    raise AssertionError("such a module does not exist")


def test_every_function_in_the_life_of_an_example_exists() -> None:
    names = re.findall(r"`((?:flywheel|annotation|provenance|training)(?:\.\w+)+)`", LIFE)
    assert len(names) > 25
    check_each(names, lambda name: resolve(name) and None, name=str)


def test_every_path_in_the_directory_structure_exists() -> None:
    tree = DIRECTORIES.split("```")[1]
    folders: list[str] = []
    paths = []
    for line in tree.splitlines():
        found = re.match(r"( *)([\w./-]+(?: [\w./-]+\.\w+)*)(?=  |$)", line)
        if not found or not line.strip() or len(found[1]) > 4:
            continue
        depth = len(found[1]) // 2
        folders[depth:] = [found[2]] if found[2].endswith("/") else []
        paths += ["".join(folders[:depth]) + name for name in found[2].split()]
    named = set(re.findall(r"`((?:flywheel|annotation|docs|findings|training)/[\w/.-]+)`", DIRECTORIES))
    assert len(paths) > 25
    missing = [path for path in {*paths, *named} if path != "var/" and not (ROOT / path).exists()]
    assert not missing


LIBRARIES = {
    path.stem: path.parts[-3] for pattern in ("*/templatetags/*.py", "flywheel/*/templatetags/*.py")
    for path in ROOT.glob(pattern) if path.stem != "__init__"
}
"""The app of each of our own tag libraries."""


def test_no_template_loads_a_tag_library_of_a_higher_app() -> None:
    """import-linter sees no `{% load %}`, so templates could depend upwards unnoticed."""
    upward = []
    for folder in (ROOT / "templates").iterdir():
        # Templates of no app (components, base.html) may use the lowest ones only.
        floor = FLOORS.index(folder.name) if folder.name in FLOORS else FLOORS.index("ui")
        for path in folder.rglob("*.html") if folder.is_dir() else [folder]:
            for token in Lexer(path.read_text()).tokenize():
                if token.token_type == TokenType.BLOCK and token.split_contents()[0] == "load":
                    apps = [(name, LIBRARIES.get(name)) for name in token.split_contents()[1:]]
                    upward += [f"{path.name}: {n} of {app}" for n, app in apps if app and FLOORS.index(app) > floor]
    assert LIBRARIES.keys() >= {"ui", "tables", "annotation"}
    assert not upward


@pytest.mark.parametrize("word", ["mend", "nobody", "somebody", "whoever", "the house"])
def test_the_documents_keep_to_the_words_of_the_style_guide(word: str) -> None:
    pattern = re.compile(rf"\b{word}s?\b", re.IGNORECASE)
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.name != "style.md"]
    found = [f"{path.name}: {line}" for path in pages for line in path.read_text().splitlines() if pattern.search(line)]
    assert not found


def test_no_line_of_a_template_is_too_long_to_review() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{number}" for path in sorted((ROOT / "templates").rglob("*.html"))
        for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 120
    ]
    assert not long, "break these lines and run djlint --reformat templates: " + ", ".join(long)
