"""What every control can do: be read from its tag, judge a value, become a result and come back from one.

Names and shapes are Label Studio's: a result is a list of items `{id, from_name, to_name, type, value}`, and a control
handles the `value` of its own items, called body here. Pure: no Django.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

Body = dict[str, Any]


class ConfigError(Exception):
    """What is wrong with a tag of a label configuration, and how to fix it."""


class ResultError(Exception):
    """What is wrong with an answer, and in which control ("" for the whole)."""

    def __init__(self, message: str, control: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.control = control


@dataclass(frozen=True, slots=True)
class Option:
    """One choice or label: `value` is stored, `label` is shown."""

    value: str
    label: str
    hint: str = ""
    hotkey: str = ""


CLASSES: list[type[Control]] = []
"""The classes of all controls that were imported."""


@dataclass(frozen=True, kw_only=True)
class Control(ABC):
    """What is asked with one tag. `title` is the Header before it, several joined."""

    name: str
    to_name: str
    required: bool = False
    title: str = ""
    options: tuple[Option, ...] = ()

    tag: ClassVar[str]
    """The tag in a label configuration."""
    type: ClassVar[str]
    """The `type` of its results, and the name of its template and its script."""
    child: ClassVar[str] = ""
    """The tag of its options, "" when it has none."""
    several: ClassVar[bool] = False
    """Whether one answer may hold several items of it."""
    text_key: ClassVar[str] = ""
    """The key of a body that holds a list of free text, which may hold personal data; "" for none."""
    holds: ClassVar[str] = ""
    """"reply" when the first of its kind is the corrected reply, "label" when it is what splits are stratified by."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        CLASSES.append(cls)

    # -- the label configuration ---------------------------------------------------------------------------------
    @classmethod
    def parse(cls, element: Element, *, name: str, title: str) -> Control:
        """The control that a tag asks for. Raises ConfigError."""
        return cls(
            name=name, to_name=element.get("toName", ""), title=title,
            required=one_of(element, "required", ("false", "true")) == "true",
            options=options_of(element, cls.child) if cls.child else (), **cls.attributes(element),
        )

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        """Further fields from the tag's attributes. Raises ConfigError."""
        return {}

    def document_problem(self, tag: str, name: str) -> str:
        """Why it cannot be asked about the document `name`, shown by `tag`; "" when it can."""
        return ""

    def to_json(self) -> dict[str, Any]:
        """As JSON that `from_json` reads."""
        return asdict(self) | {"tag": self.tag}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Control:
        """The control that `to_json` wrote."""
        known = {field.name for field in fields(cls)}
        kept = {key: value for key, value in data.items() if key in known}
        return cls(**kept | {"options": tuple(Option(**option) for option in data["options"])})

    # -- an answer -----------------------------------------------------------------------------------------------
    @abstractmethod
    def clean(self, body: Body, text: str) -> Body:
        """A body from outside in its one normal form. `text` is what its document shows. Raises ResultError."""

    def is_empty(self, body: Body) -> bool:
        """Whether a clean body says nothing, and is left out."""
        return False

    def to_result(self, value: Any) -> list[Body]:
        """Bodies of a plain value, which is not empty."""
        return [{self.type: value}]

    def from_result(self, bodies: Sequence[Body]) -> Any:
        """The plain value of bodies, for filling a form: the reverse of `to_result`."""
        return bodies[0].get(self.type)

    def from_post(self, values: Sequence[str]) -> Any:
        """The plain value of a posted form's field."""
        return values[0] if values else ""

    def is_chosen(self, option: Option, value: Any) -> bool:
        """Whether an option is part of a plain value."""
        return False

    def words(self, bodies: Sequence[Body]) -> list[str]:
        """What was answered as texts, for the reply and the label of a training row."""
        return [str(body[self.type]) for body in bodies if body.get(self.type) is not None]

    def summary(self, value: Any) -> str:
        """A plain value in words, for a reviewer."""
        return str(value)

    def distance(self, one: Any, other: Any) -> float:
        """How far two plain values are apart, for agreement: 0 for the same, 1 for as different as can be."""
        return 0.0 if one == other else 1.0

    # -- how it is called ----------------------------------------------------------------------------------------
    @property
    def template(self) -> str:
        """The template that draws it."""
        return f"annotation/controls/{self.type}.html"

    @property
    def shown_name(self) -> str:
        """How errors and fields call this control."""
        return self.title or self.name.replace("_", " ").capitalize()

    @property
    def values(self) -> frozenset[str]:
        """The values that may be chosen."""
        return frozenset(option.value for option in self.options)

    def error(self, message: str) -> ResultError:
        """A ResultError in this control; `message` follows its name."""
        return ResultError(f"{self.shown_name}{message}", self.name)

    def labels_of(self, chosen: Sequence[str]) -> str:
        """Chosen values as they are shown."""
        shown = {option.value: option.label for option in self.options}
        return ", ".join(shown.get(value, value) for value in chosen)

    def known_values(self, chosen: Sequence[Any]) -> list[str]:
        """Chosen values in the order of the options, each once. Raises ResultError naming one that is unknown."""
        unknown = [str(value) for value in chosen if not isinstance(value, str) or value not in self.values]
        if unknown:
            raise self.error(f" has no '{unknown[0][:80]}'; there are: {', '.join(sorted(self.values))}")
        return [option.value for option in self.options if option.value in chosen]


# -- reading attributes ------------------------------------------------------------------------------------------------
def one_of(element: Element, attribute: str, known: tuple[str, ...]) -> str:
    """The attribute's value in lower case, the first known one when it is absent. Raises ConfigError."""
    value = element.get(attribute, known[0]).lower()
    if value not in known:
        raise ConfigError(
            f"{attribute}=\"{value[:40]}\" of <{element.tag} name=\"{element.get('name')}\"> must be "
            f"{' or '.join(known)}"
        )
    return value


def whole_number(element: Element, attribute: str, *, default: int, low: int, high: int) -> int:
    """The attribute as a whole number from `low` to `high`. Raises ConfigError."""
    text = element.get(attribute, "")
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,6}", text) or not low <= int(text) <= high:
        raise ConfigError(
            f"{attribute}=\"{text[:40]}\" of <{element.tag} name=\"{element.get('name')}\"> must be a whole number "
            f"from {low} to {high}"
        )
    return int(text)


def one_line(words: str, what: str) -> None:
    """Raises ConfigError for a line break: a form sends none unchanged, so such a name could never be answered."""
    if "\n" in words or "\r" in words:
        raise ConfigError(f"{what} has a line break, '{' '.join(words.split())[:40]}'; write it in one line")


def options_of(element: Element, child: str) -> tuple[Option, ...]:
    """The options inside a tag. Raises ConfigError without any, or for two of one value."""
    found = []
    for part in element:
        if part.tag != child:
            continue
        value = part.get("alias") or part.get("value") or ""
        if not value.strip():
            raise ConfigError(f"a <{child}> has no value; write <{child} value=\"…\"/>")
        one_line(value, f"the value of a <{child}>")
        found.append(Option(
            value=value, label=part.get("value") or value, hint=part.get("hint", ""), hotkey=part.get("hotkey", "")
        ))
    name = element.get("name")
    if not found:
        raise ConfigError(f"<{element.tag} name=\"{name}\"> has nothing to choose; add <{child} value=\"…\"/>")
    values = [option.value for option in found]
    repeated = next((value for value in values if values.count(value) > 1), None)
    if repeated is not None:
        raise ConfigError(f"<{element.tag} name=\"{name}\"> has '{repeated}' twice; give each its own value or alias")
    return tuple(found)
