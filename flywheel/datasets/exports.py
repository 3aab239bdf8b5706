"""Export formats of a snapshot's splits. A new format is one entry in `EXPORTS`: pages and API list it from there.

Pure: rows come in as the messages of a conversation, bytes go out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flywheel.core.errors import NotFound

Messages = Sequence[Mapping[str, Any]]
"""The messages of one row: `{role, content, weight}` each, as stored in Parquet."""

# Readers that split lines as Unicode does (str.splitlines) would break a message at these characters.
_LINE_SEPARATORS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One export format. `encode` turns the messages of one row into its bytes in the file."""

    title: str
    suffix: str
    content_type: str
    encode: Callable[[Messages], bytes]


def openai_line(messages: Messages) -> bytes:
    """One line of OpenAI's chat fine-tuning JSONL, with its newline.

    Source: https://platform.openai.com/docs/guides/supervised-fine-tuning; only assistant messages carry a `weight`.
    """
    chat: list[dict[str, Any]] = []
    for message in messages:
        chat.append({"role": message["role"], "content": message["content"]})
        if message["role"] == "assistant":
            chat[-1]["weight"] = int(message["weight"])
    text = json.dumps({"messages": chat}, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_LINE_SEPARATORS).encode() + b"\n"


def text_block(messages: Messages) -> bytes:
    """The contents of a conversation with blank lines between them, ended by a line of three dashes."""
    contents = "\n\n".join(str(message["content"]) for message in messages)
    return f"{contents}\n\n---\n\n".encode()


EXPORTS: dict[str, ExportFormat] = {
    "openai": ExportFormat("Chat JSONL", "openai.jsonl", "application/jsonl", openai_line),
    "text": ExportFormat("Plain text", "txt", "text/plain; charset=utf-8", text_block),
}


def export_format(name: str) -> ExportFormat:
    """The format registered as `name`. Raises NotFound."""
    if name not in EXPORTS:
        raise NotFound(f"export format {name[:40]!r} does not exist; use one of {', '.join(EXPORTS)}")
    return EXPORTS[name]
