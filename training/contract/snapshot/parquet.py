"""Rows of a snapshot in Parquet, both ways. The one module of the contract that needs pyarrow."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.contract.errors import RowError, SnapshotError
from training.contract.rows import Message, Row, row_from_json
from training.contract.snapshot.layout import COLUMNS, TEXT_COLUMNS

PARQUET_SCHEMA = pa.schema([
    *((name, pa.string()) for name in TEXT_COLUMNS),
    ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int8())]))),
    ("extra", pa.string()),
])
ROW_GROUP = 2000
"""Rows in a row group, and so in memory at once while writing."""

READ_ROWS = 1024
"""Rows read at once."""


class ParquetRows:
    """Writes rows to one Parquet file, one row group in memory at a time. The same rows give the same bytes."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self._held: list[Row] = []
        # Level 1, because level 9 takes ten times as long for 16 % less (60,000 messages of support tickets).
        self._writer = pq.ParquetWriter(path, PARQUET_SCHEMA, compression="zstd", compression_level=1)

    def append(self, row: Row) -> None:
        """Add one row."""
        self._held.append(row)
        self.rows += 1
        if len(self._held) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = [_text_array([getattr(row, name) for row in self._held]) for name in TEXT_COLUMNS]
        columns.append(_messages_array([row.messages for row in self._held]))
        columns.append(_text_array([extra_text(row.extra) for row in self._held]))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=PARQUET_SCHEMA))
        self._held = []

    def __enter__(self) -> ParquetRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error the file is thrown away; writing what is held could raise again.
        if kind is None and self._held:
            self._flush()
        self._writer.close()


def _text_array(values: list[str]) -> pa.Array:
    # A builder, because pa.array imports pandas where it is installed, which takes a second of a small snapshot.
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def _integer_array(kind: pa.DataType, code: str, values: list[int]) -> pa.Array:
    """Integers as Arrow; `code` is the type code of Python's `array` that has the width of `kind`."""
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(array(code, values).tobytes())])


def _messages_array(rows: list[tuple[Message, ...]]) -> pa.Array:
    # Built from flat columns, which is several times faster than from a dictionary for each message.
    offsets, position = [0], 0
    for messages in rows:
        position += len(messages)
        offsets.append(position)
    flat = [message for messages in rows for message in messages]
    structs = pa.StructArray.from_arrays(
        [
            _text_array([m.role for m in flat]), _text_array([m.content for m in flat]),
            _integer_array(pa.int8(), "b", [m.weight for m in flat]),
        ],
        fields=list(PARQUET_SCHEMA.field("messages").type.value_type),
    )
    return pa.ListArray.from_arrays(_integer_array(pa.int32(), "i", offsets), structs)


def extra_text(extra: Mapping[str, str]) -> str:
    """The `extra` column: a JSON object with sorted keys."""
    return json.dumps(dict(extra), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def parquet_messages(file: Any) -> Iterator[list[dict[str, Any]]]:
    """The messages of each row of a Parquet file (a path or an open binary file), in order, in constant memory."""
    with pq.ParquetFile(file) as parquet:
        for batch in parquet.iter_batches(batch_size=ROW_GROUP, columns=["messages"]):
            yield from batch.column(0).to_pylist()


def file_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of one Parquet file in constant memory. Raises SnapshotError, RowError."""
    if path.exists() and not path.is_file():
        raise SnapshotError(f"{path} is not a file; download the snapshot again")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            _schema_check(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=READ_ROWS, columns=list(COLUMNS)):
                columns = batch.to_pydict()
                for values in zip(*(columns[name] for name in COLUMNS), strict=True):
                    record = dict(zip(COLUMNS, values, strict=True))
                    text = record["extra"]
                    try:
                        record["extra"] = json.loads(text) if text and text != "{}" else {}
                    except (ValueError, TypeError, RecursionError):
                        name, shown = record["id"], text[:200]
                        raise RowError(f"row {name!r} has extra {shown!r}; give a JSON object as text") from None
                    yield row_from_json(record)
    except FileNotFoundError:
        raise SnapshotError(f"{path} is missing; freeze or download the snapshot again") from None
    except UnicodeDecodeError as error:
        reason = error.reason
        raise SnapshotError(f"{path} holds text that is not UTF-8 ({reason}); freeze the snapshot again") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SnapshotError(f"{path} cannot be read as Parquet ({reason}); download the snapshot again") from None


def _schema_check(path: Path, schema: Any) -> None:
    """Refuse files that Arrow would read without complaint and that are not snapshots. Raises SnapshotError."""
    known = set(schema.names)
    # to_pydict keeps only one of two columns with the same name.
    if len(known) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise SnapshotError(f"{path} has column {twice!r} twice; freeze the snapshot again")
    for name in COLUMNS:
        if name not in known:
            raise SnapshotError(f"{path} has no column {name!r}; freeze the snapshot again")
        kind = schema.field(name).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        if name != "messages" and not is_text:
            raise SnapshotError(f"{path}: column {name!r} is {kind}; it must be text")
    kind = schema.field("messages").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_struct(kind.value_type):
        raise SnapshotError(f"{path}: column 'messages' is {kind}; it must be a list of structs")
    inner = {field.name for field in kind.value_type}
    if inner != {"role", "content", "weight"}:
        raise SnapshotError(f"{path}: messages hold {sorted(inner)}; they must hold role, content, weight")
