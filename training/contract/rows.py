"""The row of a snapshot: one conversation that may teach, and what the trainer needs to verify it."""

from __future__ import annotations

from dataclasses import dataclass, field
from json.encoder import encode_basestring
from typing import Any

from training.contract.errors import RowError

SPLITS = ("train", "validation", "test")
"""The splits of a snapshot, in the order in which their rows are leaves of the Merkle tree."""

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `weight` 1 teaches (assistant turns only), 0 is context."""

    role: str
    content: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a snapshot.

    id: the example's stable identifier. group: rows of one group (a customer, a set of near-duplicates) are in one
    split. label: what the split is stratified by, "" for none. provenance: the provenance record's identifier.
    """

    id: str
    messages: tuple[Message, ...]
    split: str
    group: str
    label: str = ""
    license: str = ""
    source: str = ""
    provenance: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The row as JSON values; its RFC 8785 form is what a Merkle leaf hashes."""
        return {
            "id": self.id, "messages": [{"role": m.role, "content": m.content, "weight": m.weight}
                                        for m in self.messages],
            "split": self.split, "group": self.group, "label": self.label, "license": self.license,
            "source": self.source, "provenance": self.provenance, "extra": dict(self.extra),
        }

    def canonical(self) -> bytes:
        """The row's RFC 8785 form, which a leaf of the Merkle tree hashes.

        Raises RowError for text that is not Unicode (a lone surrogate).
        """
        # Equal to rfc8785.dumps(row.to_json()) and about ten times faster, because every value is text or 0/1, which
        # the standard library escapes exactly as RFC 8785, section 3.2.2.2 requires. A property test compares them.
        quote = encode_basestring
        # Section 3.2.3 sorts keys by UTF-16 code units, Python's strings sort by code points.
        extra = sorted(self.extra.items(), key=lambda item: item[0].encode("utf-16-be", "surrogatepass"))
        messages = ",".join(
            f'{{"content":{quote(m.content)},"role":{quote(m.role)},"weight":{m.weight}}}' for m in self.messages
        )
        text = (
            f'{{"extra":{{{",".join(f"{quote(k)}:{quote(v)}" for k, v in extra)}}},"group":{quote(self.group)},'
            f'"id":{quote(self.id)},"label":{quote(self.label)},"license":{quote(self.license)},'
            f'"messages":[{messages}],"provenance":{quote(self.provenance)},"source":{quote(self.source)},'
            f'"split":{quote(self.split)}}}'
        )
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            raise RowError(f"row {self.id!r} holds text that is not Unicode ({error.reason}); clean it") from error


def _message(row_id: str, position: int, value: Any) -> Message:
    where = f"row {row_id!r}, message {position}"
    if not isinstance(value, dict):
        raise RowError(f"{where} is {type(value).__name__}; give an object with role and content")
    role, content, weight = value.get("role"), value.get("content"), value.get("weight", 0)
    if role not in ROLES:
        raise RowError(f"{where} has role {role!r}; use one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise RowError(f"{where} has content of type {type(content).__name__}; give text")
    if weight not in (0, 1):
        raise RowError(f"{where} has weight {weight!r}; use 0 or 1")
    return Message(role, content, int(weight))


def row_from_json(value: Any) -> Row:
    """Check one row. Raises RowError naming what is wrong."""
    if not isinstance(value, dict):
        raise RowError(f"a row is {type(value).__name__}; give an object with id, messages, split and group")
    row_id = value.get("id")
    if not isinstance(row_id, str) or not row_id:
        raise RowError(f"a row has id {row_id!r}; give a non-empty text")
    messages = value.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RowError(f"row {row_id!r} has no messages; give at least one")
    split = value.get("split")
    if split not in SPLITS:
        raise RowError(f"row {row_id!r} has split {split!r}; use one of {', '.join(SPLITS)}")
    group = value.get("group")
    if not isinstance(group, str) or not group:
        raise RowError(f"row {row_id!r} has group {group!r}; give the key that keeps related rows in one split")
    texts = {k: value.get(k, "") for k in ("label", "license", "source", "provenance")}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise RowError(f"row {row_id!r} has {key} {text!r}; give text")
    extra = value.get("extra") or {}
    if not isinstance(extra, dict) or not all(isinstance(k, str) and isinstance(v, str) for k, v in extra.items()):
        raise RowError(f"row {row_id!r} has extra {extra!r}; give an object of texts")
    return Row(
        id=row_id,
        messages=tuple(_message(row_id, i, m) for i, m in enumerate(messages)),
        split=split,
        group=group,
        extra=dict(extra),
        **texts,
    )
