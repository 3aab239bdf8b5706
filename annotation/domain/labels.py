"""What a label configuration shows and asks, and answers to it as plain values.

Names and shapes are Label Studio's: a result is a list of `{id, from_name, to_name, type, value}`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from annotation.controls import CONTROLS, Control

TASK_VARIABLES = {
    "conversation": "the conversation as a list of messages",
    "text": "the conversation as plain text",
    "subject": "the ticket's subject line",
    "reply": "the agent's own reply",
    "label": "the label it was captured with",
    "language": "the conversation's language",
}
"""What `value="$…"` may name, and what it holds."""

SHOWING_TAGS = frozenset({"View", "Header", "Style", "Text", "Paragraphs"})
"""Tags that show and do not ask."""


RESERVED_KEYS = frozenset("ge?")
"""Keys of the workbench that no answer may take."""


@dataclass(frozen=True, slots=True)
class Document:
    """What is shown: a Text or Paragraphs tag bound to one of TASK_VARIABLES, or to fixed text. `title` is as a
    control's."""

    name: str
    tag: str
    variable: str = ""
    fixed: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class LabelConfig:
    """A whole label configuration, in the order of its tags."""

    documents: tuple[Document, ...] = ()
    controls: tuple[Control, ...] = ()

    def control(self, name: str) -> Control | None:
        """The control of this name."""
        return next((control for control in self.controls if control.name == name), None)

    def document(self, name: str) -> Document | None:
        """The document of this name."""
        return next((document for document in self.documents if document.name == name), None)

    @property
    def reply_control(self) -> Control | None:
        """The control that holds the corrected reply: the first TextArea."""
        return next((control for control in self.controls if control.holds == "reply"), None)

    @property
    def label_control(self) -> Control | None:
        """The control that stratifies splits: the first Choices."""
        return next((control for control in self.controls if control.holds == "label"), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON that `from_json` reads."""
        return {
            "documents": [asdict(document) for document in self.documents],
            "controls": [control.to_json() for control in self.controls],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabelConfig:
        """The configuration that `to_json` wrote."""
        return cls(
            documents=tuple(Document(**document) for document in data["documents"]),
            controls=tuple(CONTROLS[control["tag"]].from_json(control) for control in data["controls"]),
        )


@dataclass(frozen=True, slots=True)
class TaskData:
    """What a task shows: the values of TASK_VARIABLES. `target` is the index of the agent's reply, None without."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    target: int | None = None
    subject: str = ""
    label: str = ""
    language: str = ""

    @property
    def text(self) -> str:
        """The conversation as plain text, one message a paragraph."""
        return "\n\n".join(f"{m.get('role', '')}: {m.get('text', '')}" for m in self.messages)

    @property
    def reply(self) -> str:
        """The agent's own reply, "" when the conversation has none."""
        return "" if self.target is None else str(self.messages[self.target].get("text", ""))

    def text_of(self, document: Document) -> str:
        """The text that a document shows; a conversation as plain text."""
        if not document.variable:
            return document.fixed
        return self.text if document.variable == "conversation" else str(getattr(self, document.variable, ""))


def keys_of(config: LabelConfig) -> dict[tuple[str, str], str]:
    """The key of each option by (control, value): its hotkey where that is one free key, else the next free digit.

    Label Studio's combinations such as "ctrl+a" do not count, nor does a blank, which presses buttons; of several
    that want the same key, the first has it.
    """
    places = [(control.name, option) for control in config.controls for option in control.options]
    keys: dict[tuple[str, str], str] = {}
    for name, option in places:
        wanted = option.hotkey.strip().lower()
        if len(wanted) == 1 and wanted not in RESERVED_KEYS and wanted not in keys.values():
            keys[name, option.value] = wanted
    free = [digit for digit in "123456789" if digit not in keys.values()]
    for name, option in places:
        if (name, option.value) not in keys and free:
            keys[name, option.value] = free.pop(0)
    return keys


def reply_of(result: list[dict[str, Any]], config: LabelConfig) -> str:
    """The corrected reply: the text of the first TextArea control, "" without one."""
    control = config.reply_control
    return "\n\n".join(control.words(bodies_of(result, control))) if control else ""


def label_of(result: list[dict[str, Any]], config: LabelConfig) -> str:
    """What splits are stratified by: the first Choices control's choices, several joined by "+", "" when none."""
    control = config.label_control
    return "+".join(control.words(bodies_of(result, control))) if control else ""


def bodies_of(result: Any, control: Control) -> list[dict[str, Any]]:
    """The values of a control's items. What is not an item is passed over."""
    items = result if isinstance(result, list) else []
    return [
        item["value"] for item in items
        if isinstance(item, dict) and item.get("from_name") == control.name and isinstance(item.get("value"), dict)
    ]


def result_build(config: LabelConfig, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Label Studio's result list from plain values by control name; empty ones are left out.

    Unknown names raise KeyError.
    """
    unknown = set(values) - {control.name for control in config.controls}
    if unknown:
        raise KeyError(f"no control named {', '.join(sorted(unknown))}")
    result: list[dict[str, Any]] = []
    for control in config.controls:
        value = values.get(control.name)
        if value in (None, "", [], ()):
            continue
        for body in control.to_result(value):
            result.append({
                "id": f"{control.name}-{len(result)}", "from_name": control.name, "to_name": control.to_name,
                "type": control.type, "value": body,
            })
    return result


def values_of(result: list[dict[str, Any]], config: LabelConfig) -> dict[str, Any]:
    """The reverse of `result_build`, for filling a form: plain values by control name."""
    found = {control: bodies_of(result, control) for control in config.controls}
    return {control.name: control.from_result(bodies) for control, bodies in found.items() if bodies}
