"""Personal data in answers: where an answer has free text, and the answer with what was found replaced.

Finding it is flywheel.privacy.detector's, the placeholders are flywheel.capture.domain.redaction's. A span is
`{control, part, start, end, type, score, placeholder}` with offsets in characters into the control's part, and
`kept: true` when a reviewer has said that it is not personal data.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.controls import BY_TYPE

Result = list[dict[str, Any]]
Span = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """One stretch of free text in an answer: the control it was typed into, and which of its parts it is."""

    control: str
    part: int
    text: str


def written(result: Result) -> list[Written]:
    """All free text of an answer, in order."""
    return [
        Written(str(item.get("from_name", "")), part, text)
        for item in _text_items(result) for part, text in enumerate(item["value"]["text"])
    ]


def _text_items(result: Result) -> Iterator[dict[str, Any]]:
    for item in result:
        # Old answers may hold items of a control that the project's configuration has no longer, so the type decides
        # and not the configuration.
        control = BY_TYPE.get(str(item.get("type")))
        if control is not None and control.text_key and isinstance(item.get("value", {}).get(control.text_key), list):
            yield item


def spans_of(texts: Sequence[Written], found: Sequence[dict[str, Any]]) -> list[Span]:
    """Findings by number of text (`message`, as `redact` numbers them from 0) as spans of an answer."""
    return [
        {"control": texts[span["message"]].control, "part": texts[span["message"]].part}
        | {key: span[key] for key in ("start", "end", "type", "score", "placeholder")}
        for span in found
    ]


def redacted(result: Result, spans: Sequence[Span]) -> Result:
    """The answer as it may be exported: spans replaced by their placeholders, but for those that are kept.

    The same object when there is nothing to replace. Spans of one text never overlap.
    """
    wanted = [span for span in spans if not span.get("kept")]
    if not wanted:
        return result
    # Copied, because the caller's annotation would otherwise be saved with the placeholders by a later `save()`.
    result = copy.deepcopy(result)
    for item in _text_items(result):
        parts = item["value"]["text"]
        # From the end, because each replacement moves the offsets behind it.
        for span in sorted(wanted, key=lambda s: -s["start"]):
            if span["control"] == item.get("from_name") and span["part"] < len(parts):
                text = parts[span["part"]]
                parts[span["part"]] = text[: span["start"]] + span["placeholder"] + text[span["end"] :]
    return result


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of text: plain when `span` is None, else personal data that was found."""

    text: str
    span: Span | None = None


def stretches(text: str, spans: Sequence[Span]) -> list[Stretch]:
    """A text cut at its spans, for showing both."""
    cut: list[Stretch] = []
    done = 0
    for span in sorted(spans, key=lambda s: s["start"]):
        if span["start"] > done:
            cut.append(Stretch(text[done : span["start"]]))
        cut.append(Stretch(text[span["start"] : span["end"]], span))
        done = span["end"]
    return [*cut, Stretch(text[done:])] if done < len(text) else cut
