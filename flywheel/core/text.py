"""Texts from outside, as every database stores them. What a text means is its app's."""

from __future__ import annotations


def plain_text(text: str) -> str:
    """The text without NUL, which PostgreSQL does not store, and with half surrogates as question marks."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def is_plain(text: str) -> bool:
    """Whether every database stores the text as it is."""
    return text == plain_text(text)
