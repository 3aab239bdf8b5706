"""Checking JSON documents against the contract's dataclasses with pydantic, and saying what is wrong.

Pydantic does the checking. Its messages name a field and a rule; ours add the bad value and the fix.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from training.contract.errors import ContractError

T = TypeVar("T")

CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)
"""For `__pydantic_config__`: unknown fields, nan and inf are errors.

`strict=True` would be too much, because a strict dataclass accepts only its instances and not an object from JSON;
numbers and booleans are strict field by field instead.
"""

_NOT_BLANK = r"\S"
_HEX_64 = r"^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=_NOT_BLANK)]
"""A text with at least one visible character."""

HexRoot = Annotated[str, Field(pattern=_HEX_64)]
"""A SHA-256 or Merkle root, 64 lower-case hex digits."""

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}

_FIXES = {
    "string_type": "give text", "string_unicode": "give Unicode text", "int_type": "give a whole number",
    "int_from_float": "give a whole number", "float_type": "give a number", "bool_type": "give true or false",
    "dict_type": "give an object", "dataclass_type": "give an object", "dataclass_exact_type": "give an object",
    "finite_number": "give a finite number", "int_parsing_size": "give a smaller number",
}
_PATTERN_FIXES = {_NOT_BLANK: "give a name that is not empty", _HEX_64: "give 64 hex digits, as in the manifest"}


def document_build(cls: type[T], value: Any, what: str) -> T:
    """Build dataclass `cls` from JSON values. Raises ContractError that names `what`, the field, the value, the fix."""
    try:
        built: T = _adapter(cls).validate_python(value)
        return built
    except ValidationError as error:
        # One problem at a time, because the next one is often a consequence of the first.
        first = error.errors(include_url=False)[0]
        raise ContractError(_problem(cls, first, what)) from None


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a document."""
    schema: dict[str, Any] = _adapter(cls).json_schema()
    return schema


def _adapter(cls: type[Any]) -> TypeAdapter[Any]:
    # Kept, because building a validator takes milliseconds and using it microseconds.
    if cls not in _ADAPTERS:
        _ADAPTERS[cls] = TypeAdapter(cls)
    return _ADAPTERS[cls]


def _problem(cls: type[Any], error: ErrorDetails, what: str) -> str:
    kind, location, context = error["type"], error["loc"], error.get("ctx", {})
    name = ".".join(map(str, location)) or what
    parent = ".".join(map(str, location[:-1])) or what
    # What was sent may be of any length.
    shown = repr(error["input"])
    shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
    if kind == "missing":
        return f"{parent} lacks {location[-1]!r}; add it"
    if kind == "unexpected_keyword_argument":
        for part in location[:-1]:
            cls = get_type_hints(cls)[str(part)]
        known = ", ".join(field.name for field in dataclasses.fields(cls))
        return f"{parent} has unknown field {str(location[-1])[:200]!r}; known are {known}"
    if kind in ("dataclass_type", "dict_type"):
        return f"{name} is {type(error['input']).__name__}; give an object"
    if kind == "literal_error":
        fix = "use one of " + context["expected"].replace(" or ", ", ").replace("'", "")
    elif kind == "greater_than_equal":
        fix = f"give a number of {context['ge']:.10g} or more"
    elif kind == "less_than_equal":
        fix = f"give a number of {context['le']:.10g} or less"
    elif kind == "string_pattern_mismatch":
        fix = _PATTERN_FIXES[context["pattern"]]
    else:
        fix = _FIXES.get(kind, error["msg"])
    return f"{name} is {shown}; {fix}"
