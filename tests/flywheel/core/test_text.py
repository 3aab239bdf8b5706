"""Texts and addresses that databases do not hold."""

from __future__ import annotations

import pytest
from django.test import Client

from flywheel.core.text import is_plain, plain_text


@pytest.mark.parametrize(("text", "kept"), [
    ("", ""), ("plain", "plain"), ("a\x00b", "ab"), ("\ud800x", "?x"), ("\udfff", "?"), ("😀\u202e", "😀\u202e"), ("a\tb\n", "a\tb\n"),
])
def test_texts_become_what_every_database_stores(text: str, kept: str):
    assert plain_text(text) == kept
    assert is_plain(text) is (text == kept)
    assert is_plain(plain_text(text))


@pytest.mark.parametrize("path", ["/?q=%00", "/runs/?status=a%00b", "/models/a%00b/", "/api/v1/runs/?status=%00"])
def test_an_address_with_nul_is_refused_in_words(path: str, db: None):
    answer = Client().get(path)
    assert answer.status_code == 400
    assert "NUL" in answer.content.decode()


def test_a_percent_sign_that_is_no_nul_passes(db: None):
    assert Client().get("/accounts/login/?next=%2500").status_code == 200
