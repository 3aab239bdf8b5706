"""Texts and addresses that databases do not hold."""

from __future__ import annotations

import pytest
from django.test import Client

from flywheel.core.text import is_plain, plain_lines, plain_text, whole_number


@pytest.mark.parametrize(("text", "kept"), [
    ("", ""), ("plain", "plain"), ("a\x00b", "ab"), ("\ud800x", "?x"), ("\udfff", "?"), ("😀\u202e", "😀\u202e"), ("a\tb\n", "a\tb\n"),
])
def test_texts_become_what_every_database_stores(text: str, kept: str):
    assert plain_text(text) == kept
    assert is_plain(text) is (text == kept)
    assert is_plain(plain_text(text))


def test_line_ends_become_one_character() -> None:
    assert plain_lines("a\x00b\r\nc\rd\ud800") == "ab\nc\nd?"


@pytest.mark.parametrize(("text", "number"), [
    ("0", 0), ("007", 7), ("9" * 18, int("9" * 18)), ("9" * 19, None), ("", None), ("-1", None), ("1.0", None), ("²", None),
    ("١", None), (None, None), (" 1", None),
])
def test_only_ascii_digits_that_fit_a_database_key_are_a_number(text: object, number: int | None) -> None:
    assert whole_number(text) == number
    assert whole_number(text, -1) == (-1 if number is None else number)


@pytest.mark.parametrize("path", ["/?q=%00", "/runs/?status=a%00b", "/models/a%00b/", "/api/v1/runs/?status=%00"])
def test_an_address_with_nul_is_refused_with_a_reason(path: str, db: None):
    answer = Client().get(path)
    assert answer.status_code == 400
    assert "NUL" in answer.content.decode()


def test_a_percent_sign_that_is_no_nul_passes(db: None):
    assert Client().get("/accounts/login/?next=%2500").status_code == 200
