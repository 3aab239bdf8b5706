"""Rows to tokens: chat template, loss mask, truncation, and an account in which no token is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from training.contract import Row
from training.errors import BadInput

IGNORE = -100
"""The label that carries no loss (PyTorch's cross entropy)."""


@dataclass(frozen=True, slots=True)
class Document:
    """One conversation, or one piece of plain text, as token ids; `labels` are the ids or IGNORE, unshifted."""

    id: str
    input_ids: list[int]
    labels: list[int]

    @property
    def supervised(self) -> int:
        """Tokens that carry loss."""
        return sum(label != IGNORE for label in self.labels)


@dataclass(slots=True)
class Account:
    """Every token of a split: kept + truncated + dropped = total. `refused` names the dropped rows and says why."""

    rows: int = 0
    total: int = 0
    kept: int = 0
    truncated: int = 0
    dropped: int = 0
    supervised: int = 0
    rows_truncated: int = 0
    refused: dict[str, str] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """The figures without the names."""
        return {k: v for k, v in asdict(self).items() if k != "refused"} | {"rows_refused": len(self.refused)}


class Encoder:
    """Turns rows into documents with one tokenizer; keeps the account."""

    def __init__(self, tokenizer: Any, max_length: int, method: str = "sft") -> None:
        if method == "sft" and not tokenizer.chat_template:
            raise BadInput("the tokenizer has no chat template; save one beside it (chat_template.jinja)")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.method = method
        self.account = Account()
        self._control = sorted(
            {token.content for token in tokenizer.added_tokens_decoder.values() if token.special and token.content}
        )
        self._special_ids = set(tokenizer.all_special_ids) | {
            number for number, token in tokenizer.added_tokens_decoder.items() if token.special
        }

    def encode(self, rows: Iterable[Row]) -> list[Document]:
        """Documents of the rows that can teach. Raises BadInput where a template cannot be trusted."""
        documents: list[Document] = []
        for row in rows:
            self.account.rows += 1
            documents.extend(self._plain(row) if self.method == "continued_pretraining" else self._chat(row))
        return documents

    def _chat(self, row: Row) -> list[Document]:
        forged = next((t for t in self._control for m in row.messages if t in m.content), None)
        taught = any(m.role == "assistant" and m.weight == 1 and m.content.strip() for m in row.messages)
        if forged is not None or not taught:
            why = f"holds the control token {forged!r}" if forged else "has no assistant message with weight 1"
            # Counted over the contents only, because the row may have been refused for what its rendering would do.
            length = sum(
                len(self.tokenizer(m.content, add_special_tokens=False, split_special_tokens=True)["input_ids"])
                for m in row.messages
            )
            self._refuse(row.id, why, length)
            return []
        ids, labels = conversation_encode(self.tokenizer, row, self._special_ids)
        if all(label == IGNORE for label in labels):
            raise BadInput(f"row {row.id!r}: the chat template leaves no token to learn from; fix the template")
        # The beginning is cut and not the end, because the reply to learn from is the last message.
        kept_ids, kept_labels = ids[-self.max_length :], labels[-self.max_length :]
        # The first token of a sequence is predicted from nothing.
        kept_labels[0] = IGNORE
        document = Document(row.id, kept_ids, kept_labels)
        if document.supervised == 0:
            self._refuse(row.id, f"keeps no supervised token within max_length {self.max_length}", len(ids))
            return []
        self._keep([document], len(ids))
        return [document]

    def _plain(self, row: Row) -> list[Document]:
        text = row.extra.get("text") or "\n\n".join(m.content for m in row.messages)
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not text.strip():
            self._refuse(row.id, "has no text", len(ids))
            return []
        ids = [*ids, self.tokenizer.eos_token_id]
        # Long text is cut into pieces and all are kept; a last piece of one token has nothing to predict.
        pieces = [ids[i : i + self.max_length] for i in range(0, len(ids), self.max_length)]
        documents = [Document(row.id, p, [IGNORE, *p[1:]]) for p in pieces if len(p) > 1]
        self._keep(documents, len(ids))
        return documents

    def _refuse(self, row_id: str, why: str, tokens: int) -> None:
        self.account.refused[row_id] = why
        self.account.total += tokens
        self.account.dropped += tokens

    def _keep(self, documents: Sequence[Document], total: int) -> None:
        kept = sum(len(d.input_ids) for d in documents)
        self.account.total += total
        self.account.kept += kept
        self.account.truncated += total - kept
        self.account.rows_truncated += total != kept
        self.account.supervised += sum(d.supervised for d in documents)


def render(tokenizer: Any, messages: Sequence[dict[str, str]], *, prompt: bool) -> str:
    """The conversation as the chat template writes it; `prompt` opens the assistant's turn. Raises BadInput."""
    try:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)
    except Exception as error:  # Templates are programs and may raise any error.
        raise BadInput(f"the chat template refuses the conversation ({str(error).splitlines()[0]})") from error
    return text


def conversation_encode(tokenizer: Any, row: Row, special_ids: set[int]) -> tuple[list[int], list[int]]:
    """Token ids and labels of one row: loss on each weight-1 assistant turn up to and with its end-of-turn token.

    Works on templates without generation markers: a turn is what rendering adds to its prompt. Raises BadInput,
    naming the row, when the template rewrites earlier turns or closes the assistant's turn with no special token.
    """
    messages = [{"role": m.role, "content": m.content} for m in row.messages]
    full = _render_row(tokenizer, row.id, messages)
    encoded = tokenizer(full, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    labels = [IGNORE] * len(ids)
    for position, message in enumerate(row.messages):
        if message.role != "assistant" or message.weight != 1 or not message.content.strip():
            # A blank reply would teach the model to say nothing.
            continue
        start, end = _turn(tokenizer, row.id, messages, position, full)
        inside = [i for i, (a, b) in enumerate(offsets) if a >= start and b <= end and b > a]
        last = next((i for i in reversed(inside) if ids[i] in special_ids), None)
        if last is None:
            raise BadInput(
                f"row {row.id!r}: the chat template closes the assistant's turn with no special token, so that the "
                "model would never learn to stop; add the end-of-turn token to the template"
            )
        # What the template writes after the end-of-turn token (a line break) is never generated.
        for i in inside[: inside.index(last) + 1]:
            labels[i] = ids[i]
    return ids, labels


def _render_row(tokenizer: Any, row_id: str, messages: Sequence[dict[str, str]], *, prompt: bool = False) -> str:
    try:
        return render(tokenizer, messages, prompt=prompt)
    except BadInput as error:
        raise BadInput(f"row {row_id!r}: {error}; take the row out or use a template that knows such turns") from error


def _turn(tokenizer: Any, row_id: str, messages: list[dict[str, str]], position: int, full: str) -> tuple[int, int]:
    """Where in `full` the assistant's message at `position` starts and ends, in characters."""
    through = _render_row(tokenizer, row_id, messages[: position + 1])
    # Many templates cannot open a turn in an empty conversation.
    before = _render_row(tokenizer, row_id, messages[:position], prompt=True) if position else ""
    if not position or before == _render_row(tokenizer, row_id, messages[:position]):
        # The template has no text that opens the turn, so the start of the content must be found: it is where the
        # rendering changes when the content does.
        content = messages[position]["content"].strip()
        other = dict(messages[position], content="\ue001" if content.startswith("\ue000") else "\ue000")
        changed = _render_row(tokenizer, row_id, [*messages[:position], other])
        same = (i for i, (a, b) in enumerate(zip(through, changed, strict=False)) if a != b)
        before = through[: next(same, min(len(through), len(changed)))]
        if through == changed:
            raise BadInput(f"row {row_id!r}: the chat template leaves the assistant's reply out; fix the template")
    if not through.startswith(before) or not full.startswith(through):
        raise BadInput(
            f"row {row_id!r}: the chat template rewrites earlier turns, so that the loss mask cannot be trusted; use "
            "a template whose rendering only grows"
        )
    return len(before), len(through)
