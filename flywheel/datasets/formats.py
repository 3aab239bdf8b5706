"""The stored form of a row: the contract's Row from an annotated conversation, written to Parquet and read back."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.contract.rows import Message, Row

ROLES = {"customer": "user", "agent": "assistant"}
TEXT_COLUMNS = ("id", "split", "group", "label", "license", "source", "provenance")
PARQUET_SCHEMA = pa.schema([
    *((name, pa.string()) for name in TEXT_COLUMNS),
    ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int8())]))),
    ("extra", pa.string()),
])
ROW_GROUP = 2000
"""Rows that are held in memory at once, while writing and while reading."""


def messages_build(
    redacted: Sequence[Mapping[str, Any]], *, context_length: int, reply: str, system_prompt: str,
    include_notes: bool,
) -> tuple[Message, ...]:
    """The chat of one row: system prompt, context with weight 0, and the annotated reply with weight 1.

    Returns () when nothing that the customer said stands before the reply. Notes are left out unless they are
    wanted, and then stand as user messages; messages without text are left out.
    """
    context = []
    for message in redacted[:context_length]:
        role = ROLES.get(str(message.get("role")), "user" if include_notes else "")
        text = str(message.get("text") or "")
        if role and text.strip():
            context.append(Message(role, text))
    if not any(message.role == "user" for message in context):
        return ()
    system = (Message("system", system_prompt),) if system_prompt else ()
    return (*system, *context, Message("assistant", reply, 1))


class ParquetRows:
    """Writes rows to one Parquet file, a group of rows in memory at a time. The same rows give the same bytes."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._held: list[Row] = []
        self._writer = pq.ParquetWriter(path, PARQUET_SCHEMA, compression="zstd", compression_level=1)

    def append(self, row: Row) -> None:
        """Add one row."""
        self._held.append(row)
        self.rows += 1
        if len(self._held) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = [_texts([getattr(row, name) for row in self._held]) for name in TEXT_COLUMNS]
        columns.append(_messages_array([row.messages for row in self._held]))
        columns.append(_texts([extra_text(row.extra) for row in self._held]))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=PARQUET_SCHEMA))
        self._held = []

    def __enter__(self) -> ParquetRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._held:
            self._flush()
        self._writer.close()


def _texts(values: list[str]) -> pa.Array:
    # A builder, since pa.array imports pandas where it is installed, which takes a second of a small snapshot.
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def _integers(kind: pa.DataType, code: str, values: list[int]) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array(code, values).tobytes())])


def _messages_array(rows: list[tuple[Message, ...]]) -> pa.Array:
    # Built from flat columns, which is several times quicker than from a dictionary for each message.
    offsets, position = [0], 0
    for messages in rows:
        position += len(messages)
        offsets.append(position)
    flat = [message for messages in rows for message in messages]
    structs = pa.StructArray.from_arrays(
        [
            _texts([m.role for m in flat]), _texts([m.content for m in flat]),
            _integers(pa.int8(), "b", [m.weight for m in flat]),
        ],
        fields=list(PARQUET_SCHEMA.field("messages").type.value_type),
    )
    return pa.ListArray.from_arrays(_integers(pa.int32(), "i", offsets), structs)


def extra_text(extra: Mapping[str, str]) -> str:
    """The `extra` column: a JSON object with sorted keys."""
    return json.dumps(dict(extra), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def parquet_messages(file: Any) -> Iterator[list[dict[str, Any]]]:
    """The messages of each row of a Parquet file (a path or an open binary file), in order, in constant memory."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=ROW_GROUP, columns=["messages"]):
            yield from batch.column(0).to_pylist()
