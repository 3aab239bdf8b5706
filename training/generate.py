"""Replies in batches: greedy, left-padded, the same every time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.artifacts import bytes_write, json_write, manifest_write
from training.contract import EXIT_DONE, EXIT_STOPPED, GenerateSpec
from training.contract.files import is_folder
from training.encoding import render
from training.errors import BadInput, StopRequested
from training.events import EventLog
from training.models import BaseModel, base_find, model_load, tokenizer_load, tuned_load, vocabulary_check
from training.signals import signals_caught

SUGGESTIONS_FILE = "suggestions.jsonl"

REPETITION_PENALTY = 1.2
"""Divides the scores of tokens already generated (CTRL, section 4.1), because small greedy models repeat themselves."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply and its number of tokens, without the end-of-turn token."""

    text: str
    tokens: int


def replies(
    model: Any, tokenizer: Any, conversations: Sequence[Sequence[dict[str, str]]], max_new_tokens: int,
    batch_size: int, check: Callable[[], None] = lambda: None, done: Callable[[int], None] = lambda n: None,
) -> list[Reply]:
    """Greedy replies to conversations, in the same order. Prompts are batched by length."""
    # Models without a stated limit (no learned positions) take prompts of any length.
    room = getattr(model.config, "max_position_embeddings", 0) or 1 << 30
    prompts = [prompt_ids(tokenizer, messages, room - max_new_tokens) for messages in conversations]
    # Prompts of one length need no padding, and a batch takes as long as its longest prompt.
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    found: dict[int, Reply] = {}
    model.eval()
    for start in range(0, len(order), batch_size):
        check()
        members = order[start : start + batch_size]
        answers = _batch_generate(model, tokenizer, [prompts[i] for i in members], max_new_tokens, check)
        found |= dict(zip(members, answers, strict=True))
        done(len(found))
    return [found[i] for i in range(len(prompts))]


def prompt_ids(tokenizer: Any, messages: Sequence[dict[str, str]], room: int) -> list[int]:
    """Token ids of a prompt, its oldest tokens cut off where the model has no room for them."""
    if room < 1:
        raise BadInput("max_new_tokens leaves no room for a prompt; lower it")
    # Control tokens that a customer typed are broken up, because they would open a turn in another role's name.
    controls = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    clean = []
    for message in messages:
        content = message["content"]
        for control in controls:
            if control and control in content:
                content = content.replace(control, f"{control[0]} {control[1:]}")
        clean.append({"role": message["role"], "content": content})
    text = render(tokenizer, clean, prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    # The end is kept, because the question to answer is there.
    return ids[-room:]


def _batch_generate(
    model: Any, tokenizer: Any, prompts: list[list[int]], max_new_tokens: int, check: Callable[[], None]
) -> list[Reply]:
    import torch
    from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

    class Interruption(StoppingCriteria):
        """Checks at each token whether a stop was requested."""

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            check()
            return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)

    longest = max(len(p) for p in prompts)
    pad, ends = tokenizer.pad_token_id, _end_ids(model, tokenizer)
    # Padded on the left, because generation continues at the right end of every row.
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    make: Any = GenerationConfig
    settings = make(
        max_new_tokens=max_new_tokens, do_sample=False, num_beams=1, pad_token_id=pad, eos_token_id=ends,
        repetition_penalty=REPETITION_PENALTY, begin_suppress_tokens=_blank_ids(tokenizer, ends),
    )
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings,
                             stopping_criteria=StoppingCriteriaList([Interruption()]))
    found = []
    for row in out:
        made = row[longest:].tolist()
        cut = next((i for i, token in enumerate(made) if token in ends), len(made))
        found.append(Reply(tokenizer.decode(made[:cut], skip_special_tokens=True).strip(), cut))
    return found


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token that ends a turn: the tokenizer's, and those that the model's own generation settings name."""
    stated = getattr(model.generation_config, "eos_token_id", None)
    more = stated if isinstance(stated, list) else [stated]
    return sorted({tokenizer.eos_token_id, *(i for i in more if i is not None)})


def _blank_ids(tokenizer: Any, ends: Sequence[int]) -> list[int]:
    """Tokens that no reply may start with, because it would be blank: ends of turn, control tokens, white space."""
    blanks = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("\n", "\n\n", " ", "  ", "\t"))
    return sorted({*ends, *tokenizer.all_special_ids, *(ids[0] for ids in blanks if len(ids) == 1)})


def prompts_read(path: Path) -> list[dict[str, Any]]:
    """The prompts of a GenerateSpec. Raises BadInput naming the line."""
    prompts: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise BadInput(f"prompts_path {str(path)[:200]} cannot be read ({error}); name a JSONL file") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            prompts.append(_prompt_check(f"{path}, line {number}", line))
    # The web matches suggestions to tasks by id.
    ids = [p["id"] for p in prompts]
    if len(set(ids)) != len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise BadInput(f"{path} has id {twice!r} twice; give each prompt its own")
    return prompts


def _prompt_check(where: str, line: str) -> dict[str, Any]:
    try:
        prompt = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput(f"{where} is not JSON; write one object a line") from None
    if not isinstance(prompt, dict) or not isinstance(prompt.get("id"), str):
        raise BadInput(f"{where} has no id; give a text")
    messages = prompt.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadInput(f"{where} has no messages; give at least one")
    for message in messages:
        fine = isinstance(message, dict) and isinstance(message.get("content"), str)
        if not fine or message.get("role") not in ("system", "user", "assistant"):
            raise BadInput(f"{where} has message {message!r}; give role (system, user, assistant) and content")
    return prompt


def generate(value: Any, out: Path) -> int:
    """`python -m training generate`: suggestions.jsonl and result.json in OUT_DIR. Returns the exit code."""
    spec = GenerateSpec.from_json(value)
    prompts = prompts_read(Path(spec.prompts_path))
    base = base_find(spec.base_model, spec.base_revision)
    if spec.adapter_path is not None and not is_folder(spec.adapter_path):
        raise BadInput(f"adapter_path {spec.adapter_path[:200]!r} is not a folder; name a run's model folder or clear "
                       "it")
    events = EventLog(out)
    try:
        with signals_caught() as stop:
            return _prompts_answer(spec, prompts, base, out, events, stop.check)
    except StopRequested as error:
        json_write(out / "result.json", {"job_id": spec.job_id, "status": "stopped", "stop_reason": str(error)})
        events.emit("done", status="stopped", stop_reason=str(error))
        return EXIT_STOPPED
    except BadInput as error:
        events.emit("failed", error=str(error), exit_code=2)
        raise
    except Exception as error:
        events.emit("failed", error=f"{type(error).__name__}: {error}", exit_code=1)
        raise
    finally:
        events.close()


def _prompts_answer(
    spec: GenerateSpec, prompts: list[dict[str, Any]], base: BaseModel, out: Path, events: EventLog,
    check: Callable[[], None],
) -> int:
    started = time.monotonic()
    tokenizer = tokenizer_load(base.path)
    if not tokenizer.chat_template:
        raise BadInput(f"base model {base.path} has no chat template; save one beside its tokenizer")
    model = tuned_load(base, Path(spec.adapter_path)) if spec.adapter_path else model_load(base.path)
    vocabulary_check(tokenizer, model.config, base.path)
    total = len(prompts)

    def progress(done: int) -> None:
        events.emit("log", message=f"{done} of {total} suggestions", done=done, total=total)

    answers = replies(model, tokenizer, [p["messages"] for p in prompts], spec.max_new_tokens, spec.batch_size,
                      check, progress)
    lines = [json.dumps({"id": p["id"], "text": a.text, "tokens": a.tokens}, ensure_ascii=False) + "\n"
             for p, a in zip(prompts, answers, strict=True)]
    # Written once all replies are there: half a batch is useless, because the web publishes a batch as a whole.
    bytes_write(out / SUGGESTIONS_FILE, "".join(lines).encode())
    seconds, tokens = time.monotonic() - started, sum(a.tokens for a in answers)
    json_write(out / "result.json", {
        "job_id": spec.job_id, "status": "done", "base_model": spec.base_model, "base_revision": base.revision,
        "suggestions": total, "tokens": tokens, "seconds": seconds, "stop_reason": "",
    })
    events.emit("done", status="done", suggestions=total, tokens=tokens, seconds=round(seconds, 3))
    manifest_write(out, {"job_id": spec.job_id, "status": "done"})
    return EXIT_DONE


__all__ = ["Reply", "generate", "replies"]
