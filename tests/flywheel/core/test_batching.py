"""Batches of a stream."""

from __future__ import annotations

from flywheel.core.batching import batched


def test_batches_keep_the_order_and_the_last_may_be_short() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([])) == []


def test_only_one_batch_is_read_ahead() -> None:
    read: list[int] = []
    stream = (read.append(n) or n for n in range(10))  # type: ignore[func-returns-value]
    next(batched(stream, 3))
    assert read == [0, 1, 2]
