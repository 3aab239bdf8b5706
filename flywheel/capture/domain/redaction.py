"""Found personal data replaced by placeholders."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flywheel.capture.domain.conversation import is_generic
from flywheel.privacy.detector import PiiSpan

SUBJECT = -1
"""The message number under which spans of the subject line are listed."""

_PLACEHOLDER = re.compile(r"<([A-Z][A-Z_]*)_(\d+)>")

Given = tuple[str, str, str]
"""A value that has a placeholder already: type, value, placeholder."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Redacted texts and authors in the order given, and the spans as Example.pii stores them.

    `marks` are the redacted label and tags; their spans are not kept.
    """

    texts: list[str]
    authors: list[str]
    pii: list[dict[str, Any]]
    marks: list[str] = field(default_factory=list)


class _Names:
    """Placeholder names of one conversation: same value and type, same number."""

    def __init__(self, texts: Sequence[str], people: Sequence[str], given: Sequence[Given]) -> None:
        self._people = [(frozenset(name.casefold().split()), name) for name in people]
        self._given = {self._key(kind, value): placeholder for kind, value, placeholder in reversed(given)}
        self._last: dict[str, int] = {}
        # Placeholders that came with the text keep their meaning: new numbers start after theirs.
        for text in (*texts, *self._given.values()):
            for kind, number in _PLACEHOLDER.findall(text):
                self._last[kind] = max(self._last.get(kind, 0), int(number[:9]))

    def of(self, kind: str, value: str) -> str:
        key = self._key(kind, value)
        if key not in self._given:
            self._last[kind] = self._last.get(kind, 0) + 1
            self._given[key] = f"<{kind}_{self._last[kind]}>"
        return self._given[key]

    def _key(self, kind: str, value: str) -> tuple[str, str]:
        if kind == "PERSON":
            value = self._whole_name(value)
        # Spacing and punctuation are dropped, so that a phone number has one placeholder however it is written.
        return kind, "".join(c for c in value.casefold() if c.isalnum())

    def _whole_name(self, value: str) -> str:
        # "Priya" gets the number of Priya Natarajan where she is known to take part.
        words = frozenset(value.casefold().removesuffix("'s").removesuffix("’s").split())
        return next((name for known, name in self._people if words <= known), value)


def redact(
    texts: Sequence[str], spans: Sequence[Sequence[PiiSpan]], *, people: Sequence[str] = (),
    authors: Sequence[str] = (), first_message: int = 0, given: Sequence[Given] = (),
) -> Redaction:
    """Replace each text's spans by placeholders, numbered through the whole conversation.

    spans: for each text spans that do not overlap, in order. `first_message` is the message number of texts[0], so that
    a subject line before the messages is listed as `SUBJECT`. `people` are names known to take part. `authors` is one
    entry for each message, replaced unless it only names a role ("Customer 1"): it may also be an address or a number.
    `given` are placeholders that earlier text of the same conversation has, so that a value keeps its number.
    """
    names = _Names(texts, people, given)
    redacted, pii = [], []
    for index, (text, found) in enumerate(zip(texts, spans, strict=True)):
        parts, done = [], 0
        for span in found:
            placeholder = names.of(span.type, text[span.start : span.end])
            parts += [text[done : span.start], placeholder]
            done = span.end
            pii.append({
                "message": first_message + index, "start": span.start, "end": span.end, "type": span.type,
                "score": round(span.score, 3), "placeholder": placeholder,
            })
        redacted.append("".join([*parts, text[done:]]))
    # A role is kept, because "Customer 1" names no one and tells a reader who speaks.
    shown = [author if not author or is_generic(author) else names.of("PERSON", author) for author in authors]
    return Redaction(texts=redacted, authors=shown, pii=pii)
