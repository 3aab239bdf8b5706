"""Text from outside, reduced to what every database stores, and numbers written in it."""

from __future__ import annotations

from typing import overload

MOST_DIGITS = 18
"""Any number with this many digits fits a database's 64-bit integer."""


def plain_text(text: str) -> str:
    """The text without NUL, which PostgreSQL does not store, and with lone surrogates as question marks."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def plain_lines(text: str) -> str:
    """`plain_text` with every line end as "\\n", so that the same text has the same length in browser and database."""
    return plain_text(text.replace("\r\n", "\n").replace("\r", "\n"))


def is_plain(text: str) -> bool:
    """Whether every database stores the text unchanged."""
    return text == plain_text(text)


@overload
def whole_number(text: object) -> int | None: ...


@overload
def whole_number(text: object, default: int) -> int: ...


def whole_number(text: object, default: int | None = None) -> int | None:
    """The non-negative integer that the text writes in ASCII digits; else, and above 18 digits, `default`."""
    digits = str(text)
    # str.isdigit alone also accepts "²", on which int() fails, and the digits of other scripts.
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS else default
