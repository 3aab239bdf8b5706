"""What a label configuration asks for, as plain values. Reading it from XML is annotation.label_config's.

Names and shapes are Label Studio's: a result is a list of `{id, from_name, to_name, type, value}`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

TASK_VARIABLES = {
    "conversation": "the conversation as a list of messages",
    "text": "the conversation as plain text",
    "subject": "the ticket's subject line",
    "reply": "the agent's own reply",
    "label": "the label it was captured with",
    "language": "the conversation's language",
}
"""What `value="$…"` may name, and what it holds."""

TYPES = {"TextArea": "textarea", "Choices": "choices", "Rating": "rating", "Labels": "labels"}
"""Control tag -> `type` in a result."""

SUPPORTED_TAGS = frozenset({"View", "Header", "Style", "Text", "Paragraphs", "Choice", "Label", *TYPES})


RESERVED_KEYS = frozenset("ge?")
"""Keys of the workbench that no answer may take."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice or label: `value` is stored, `label` is shown."""

    value: str
    label: str
    hint: str = ""
    hotkey: str = ""


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
class Control:
    """What is asked: one TextArea, Choices, Rating or Labels tag. `title` is the Header before it, several joined."""

    name: str
    tag: str
    to_name: str
    required: bool = False
    title: str = ""
    options: tuple[Option, ...] = ()
    multiple: bool = False
    max_rating: int = 5
    rows: int = 6
    placeholder: str = ""

    @property
    def type(self) -> str:
        """The `type` of this control's results."""
        return TYPES[self.tag]

    @property
    def shown_name(self) -> str:
        """How errors and fields call this control."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def values(self) -> frozenset[str]:
        """The values that may be chosen."""
        return frozenset(option.value for option in self.options)


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
        return next((control for control in self.controls if control.tag == "TextArea"), None)

    @property
    def label_control(self) -> Control | None:
        """The control that stratifies splits: the first Choices."""
        return next((control for control in self.controls if control.tag == "Choices"), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LabelConfig:
        """The configuration that `to_json` wrote."""
        return cls(
            documents=tuple(Document(**document) for document in data["documents"]),
            controls=tuple(
                Control(**{**control, "options": tuple(Option(**option) for option in control["options"])})
                for control in data["controls"]
            ),
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

    Label Studio's combinations such as "ctrl+a" are none, nor is a blank, which presses buttons; the first of several
    that want the same key has it.
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
    """The corrected reply: the text of the first TextArea control, "" when there is none."""
    control = config.reply_control
    return "\n\n".join(_values(result, control)) if control else ""


def label_of(result: list[dict[str, Any]], config: LabelConfig) -> str:
    """What splits are stratified by: the first Choices control's choices, several joined by "+", "" when none."""
    control = config.label_control
    return "+".join(_values(result, control)) if control else ""


def _values(result: list[dict[str, Any]], control: Control) -> list[str]:
    found = next((item for item in result if item.get("from_name") == control.name), None)
    if found is None:
        return []
    value = found["value"].get("text" if control.tag == "TextArea" else control.type, [])
    return [value] if isinstance(value, str) else [str(part) for part in value]


def result_build(config: LabelConfig, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Label Studio's result list from plain values by control name; empty ones are left out.

    TextArea takes text, Choices a value or a list of them, Rating a number, Labels a list of
    `{start, end, labels, text?}` with offsets in characters. Unknown names raise KeyError.
    """
    unknown = set(values) - {control.name for control in config.controls}
    if unknown:
        raise KeyError(f"no control named {', '.join(sorted(unknown))}")
    result: list[dict[str, Any]] = []
    for control in config.controls:
        value = values.get(control.name)
        if value in (None, "", [], ()):
            continue
        for body in _bodies(control, value):
            result.append({
                "id": f"{control.name}-{len(result)}", "from_name": control.name, "to_name": control.to_name,
                "type": control.type, "value": body,
            })
    return result


def _bodies(control: Control, value: Any) -> list[dict[str, Any]]:
    if control.tag == "TextArea":
        return [{"text": [value] if isinstance(value, str) else list(value)}]
    if control.tag == "Choices":
        return [{"choices": [value] if isinstance(value, str) else list(value)}]
    if control.tag == "Rating":
        return [{"rating": value}]
    return [dict(span) for span in value]


def values_of(result: list[dict[str, Any]], config: LabelConfig) -> dict[str, Any]:
    """The reverse of `result_build`, for filling a form: text, list of choices, number, list of spans by control."""
    values: dict[str, Any] = {}
    for item in result if isinstance(result, list) else []:
        control = config.control(str(item.get("from_name", ""))) if isinstance(item, dict) else None
        body = item.get("value") if control else None
        if control is None or not isinstance(body, dict):
            continue
        if control.tag == "TextArea":
            text = body.get("text", "")
            values[control.name] = text if isinstance(text, str) else "\n\n".join(str(part) for part in text)
        elif control.tag == "Labels":
            values.setdefault(control.name, []).append(body)
        else:
            values[control.name] = body.get(control.type)
    return values
