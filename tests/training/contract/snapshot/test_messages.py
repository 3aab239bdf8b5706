"""The chat of a row from an annotated conversation."""

from __future__ import annotations

from typing import Any

from training.contract.rows import Message
from training.contract.snapshot import messages_build

TURNS: list[dict[str, Any]] = [
    {"role": "customer", "text": "Hello"}, {"role": "agent", "text": "Hi, how can I help?"},
    {"role": "note", "text": "vip"}, {"role": "customer", "text": "  "}, {"role": "customer", "text": "It broke."},
    {"role": "agent", "text": "Too bad."},
]


def build(**fields: Any) -> tuple[Message, ...]:
    wanted: dict[str, Any] = {"context_length": 5, "reply": "Sorry!", "system_prompt": "", "include_notes": False}
    return messages_build(TURNS, **(wanted | fields))


def test_only_the_reply_has_weight():
    assert [(m.role, m.content, m.weight) for m in build()] == [
        ("user", "Hello", 0), ("assistant", "Hi, how can I help?", 0), ("user", "It broke.", 0),
        ("assistant", "Sorry!", 1),
    ]


def test_the_original_reply_is_never_in_a_row():
    assert all("Too bad" not in m.content for m in build(include_notes=True, system_prompt="x"))


def test_notes_and_system_prompt_are_included_on_request():
    assert [m.role for m in build(include_notes=True, system_prompt="Be kind.")] == [
        "system", "user", "assistant", "user", "user", "assistant"
    ]


def test_a_context_without_the_customer_gives_no_row():
    assert build(context_length=0) == ()
    assert messages_build([TURNS[1]], context_length=1, reply="x", system_prompt="", include_notes=True) == ()
