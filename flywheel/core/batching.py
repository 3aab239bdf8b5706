"""Batches of a stream: how every query over many keys stays below the databases' limits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from more_itertools import chunked

T = TypeVar("T")

BATCH_SIZE = 1000
"""Keys per query: well below the bound parameters that one statement may have in SQLite (32,766) and PostgreSQL
(65,535), and few enough rows that a batch of records fits in memory."""


def batched(items: Iterable[T], size: int = BATCH_SIZE) -> Iterator[list[T]]:
    """The items in order, in lists of at most `size`; only one batch is in memory at a time."""
    return chunked(items, size)
