"""From an annotated conversation to the chat of a row. Training and serving both build their prompts here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.contract.rows import Message

CHAT_ROLES = {"customer": "user", "agent": "assistant"}
"""Roles of a conversation as roles of a chat; notes have no role of their own there."""


def messages_build(
    redacted: Sequence[Mapping[str, Any]], *, context_length: int, reply: str, system_prompt: str,
    include_notes: bool,
) -> tuple[Message, ...]:
    """The chat of one row: system prompt, context with weight 0, then the annotated reply with weight 1.

    `redacted` holds `{role, text}` of customer, agent or note; the first `context_length` of them are the context.
    Returns () when the context has no message from the customer. Notes are left out unless `include_notes`, and are
    user messages then. Messages without text are left out.
    """
    context = []
    for message in redacted[:context_length]:
        role = CHAT_ROLES.get(str(message.get("role")), "user" if include_notes else "")
        text = str(message.get("text") or "")
        if role and text.strip():
            context.append(Message(role, text))
    # A reply to nothing would teach a model to answer without a question.
    if not any(message.role == "user" for message in context):
        return ()
    system = (Message("system", system_prompt),) if system_prompt else ()
    return (*system, *context, Message("assistant", reply, 1))
