"""Judging an answer against its label configuration: shapes, known values, required controls, limits."""

from __future__ import annotations

from typing import Any

from annotation.domain.labels import Control, LabelConfig, TaskData
from flywheel.core.json_values import plain_json
from flywheel.core.text import plain_lines

MAX_TEXT = 20_000
MAX_ITEMS = 1_000


class ResultError(Exception):
    """What is wrong with an answer, and in which control ("" for the whole)."""

    def __init__(self, message: str, control: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.control = control


def result_check(
    result: Any, config: LabelConfig, data: TaskData, *, partial: bool = False
) -> list[dict[str, Any]]:
    """The answer in its one normal form, or ResultError. With `partial` (drafts) required controls may be missing."""
    if not isinstance(result, list):
        raise ResultError(f"the result has to be a list of items, not {type(result).__name__}")
    if len(result) > MAX_ITEMS:
        raise ResultError(f"the result has {len(result)} items; at most {MAX_ITEMS} are taken")
    checked = [_item(item, index, config, data) for index, item in enumerate(result)]
    _once_each(checked, config)
    checked = [item for item in checked if not _empty(item)]
    if not partial:
        _required(checked, config)
    return checked


def _item(item: Any, index: int, config: LabelConfig, data: TaskData) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
        raise ResultError(f"item {index} of the result needs from_name, to_name, type and a value object")
    name = str(item.get("from_name", ""))
    control = config.control(name)
    if control is None:
        known = ", ".join(control.name for control in config.controls)
        raise ResultError(f"item {index} of the result is for '{name}', which is no control; there are: {known}")
    _same(item, "to_name", control.to_name, control)
    _same(item, "type", control.type, control)
    body = _BODIES[control.tag](plain_json(item["value"]), control, config, data)
    return {
        "id": plain_lines(str(item.get("id") or f"{name}-{index}"))[:64], "from_name": name,
        "to_name": control.to_name, "type": control.type, "value": body,
    }


def _same(item: dict[str, Any], key: str, expected: str, control: Control) -> None:
    if item.get(key, expected) != expected:
        raise ResultError(f"{control.shown_name}: {key} is '{item[key]}'; it has to be '{expected}'", control.name)


def _text(value: dict[str, Any], control: Control, config: LabelConfig, data: TaskData) -> dict[str, Any]:
    parts = value.get("text", [])
    parts = [parts] if isinstance(parts, str) else parts
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ResultError(f"{control.shown_name}: value.text has to be a list of texts", control.name)
    length = sum(len(part) for part in parts)
    if length > MAX_TEXT:
        raise ResultError(
            f"{control.shown_name} has {length:,} characters; at most {MAX_TEXT:,} are taken, so shorten it",
            control.name,
        )
    return {"text": [part.strip() for part in parts if part.strip()]}


def _choices(value: dict[str, Any], control: Control, config: LabelConfig, data: TaskData) -> dict[str, Any]:
    chosen = value.get("choices", [])
    chosen = [chosen] if isinstance(chosen, str) else chosen
    if not isinstance(chosen, list):
        raise ResultError(f"{control.shown_name}: value.choices has to be a list", control.name)
    _known(chosen, control)
    if len(chosen) > 1 and not control.multiple:
        raise ResultError(f"{control.shown_name} takes one choice and was given {len(chosen)}", control.name)
    return {"choices": [option.value for option in control.options if option.value in chosen]}


def _known(chosen: list[Any], control: Control) -> None:
    unknown = [str(value) for value in chosen if not isinstance(value, str) or value not in control.values]
    if unknown:
        raise ResultError(
            f"{control.shown_name} has no '{unknown[0][:80]}'; there are: {', '.join(sorted(control.values))}",
            control.name,
        )


def _rating(value: dict[str, Any], control: Control, config: LabelConfig, data: TaskData) -> dict[str, Any]:
    rating = value.get("rating")
    if isinstance(rating, float) and rating.is_integer():
        rating = int(rating)
    if rating is None or rating == 0:
        return {"rating": None}
    if isinstance(rating, bool) or not isinstance(rating, int) or not 1 <= rating <= control.max_rating:
        raise ResultError(
            f"{control.shown_name} is {rating!r}; it has to be a whole number from 1 to {control.max_rating}",
            control.name,
        )
    return {"rating": rating}


def _labels(value: dict[str, Any], control: Control, config: LabelConfig, data: TaskData) -> dict[str, Any]:
    document = config.document(control.to_name)
    text = data.text_of(document) if document else ""
    start, end, labels = value.get("start"), value.get("end"), value.get("labels", [])
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
        raise ResultError(
            f"{control.shown_name}: {start!r} to {end!r} is no stretch of a text of {len(text)} characters",
            control.name,
        )
    if not isinstance(labels, list) or not labels:
        raise ResultError(f"{control.shown_name}: the stretch {start} to {end} has no label", control.name)
    _known(labels, control)
    return {
        "start": start, "end": end, "text": text[start:end],
        "labels": [option.value for option in control.options if option.value in labels],
    }


_BODIES = {"TextArea": _text, "Choices": _choices, "Rating": _rating, "Labels": _labels}


def _empty(item: dict[str, Any]) -> bool:
    value = item["value"]
    return value.get("rating", 1) is None or value.get("text") == [] or value.get("choices") == []


def _once_each(items: list[dict[str, Any]], config: LabelConfig) -> None:
    seen: set[str] = set()
    for item in items:
        if item["type"] == "labels":
            continue
        if item["from_name"] in seen:
            control = config.control(item["from_name"])
            raise ResultError(
                f"{control.shown_name if control else item['from_name']} is answered twice", item["from_name"]
            )
        seen.add(item["from_name"])


def _required(items: list[dict[str, Any]], config: LabelConfig) -> None:
    answered = {item["from_name"] for item in items}
    for control in config.controls:
        if control.required and control.name not in answered:
            raise ResultError(f"{control.shown_name} is required and empty", control.name)
