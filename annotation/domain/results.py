"""Judging an answer against its label configuration: shapes, known values, required controls, limits."""

from __future__ import annotations

from typing import Any

from annotation.controls import Control, ResultError
from annotation.domain.labels import LabelConfig, TaskData
from flywheel.core.json_values import plain_json
from flywheel.core.text import plain_lines

MAX_ITEMS = 1_000




def result_check(
    result: Any, config: LabelConfig, data: TaskData, *, partial: bool = False
) -> list[dict[str, Any]]:
    """The answer in its one normal form, or ResultError. With `partial` (drafts) required controls may be missing."""
    if not isinstance(result, list):
        raise ResultError(f"the result must be a list of items, not {type(result).__name__}")
    if len(result) > MAX_ITEMS:
        raise ResultError(f"the result has {len(result)} items; at most {MAX_ITEMS} are taken")
    checked = [_item(item, index, config, data) for index, item in enumerate(result)]
    # Before empty ones are dropped, because two values of one control are a fault of the client even if one is blank.
    _once_each(checked, config)
    # Empty answers are left out, so that the same answer has one form whether the browser sent an empty field or none.
    checked = [item for item in checked if not _control_of(item, config).is_empty(item["value"])]
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
        raise ResultError(f"item {index} of the result is for '{name}', which is not a control; there are: {known}")
    _same(item, "to_name", control.to_name, control)
    _same(item, "type", control.type, control)
    document = config.document(control.to_name)
    # Rebuilt by the control and not copied, so that keys that are not known are never stored or exported.
    body = control.clean(plain_json(item["value"]), data.text_of(document) if document else "")
    return {
        # Label Studio's clients send an id of their own; without one the place in the list is enough to be unique.
        "id": plain_lines(str(item.get("id") or f"{name}-{index}"))[:64], "from_name": name,
        "to_name": control.to_name, "type": control.type, "value": body,
    }


def _same(item: dict[str, Any], key: str, expected: str, control: Control) -> None:
    if item.get(key, expected) != expected:
        raise ResultError(f"{control.shown_name}: {key} is '{item[key]}'; it must be '{expected}'", control.name)


def _control_of(item: dict[str, Any], config: LabelConfig) -> Control:
    control = config.control(item["from_name"])
    assert control is not None, "items are checked one by one before"
    return control


def _once_each(items: list[dict[str, Any]], config: LabelConfig) -> None:
    seen: set[str] = set()
    for item in items:
        control = _control_of(item, config)
        if not control.several and control.name in seen:
            raise ResultError(f"{control.shown_name} is answered twice", control.name)
        seen.add(control.name)


def _required(items: list[dict[str, Any]], config: LabelConfig) -> None:
    answered = {item["from_name"] for item in items}
    for control in config.controls:
        if control.required and control.name not in answered:
            raise ResultError(f"{control.shown_name} is required and empty", control.name)
