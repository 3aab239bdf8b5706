"""Packing: nothing is lost or split, bins are full, and the model cannot tell that documents share a sequence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training import builders
from training.encoding import IGNORE, Document, Encoder
from training.models import model_load
from training.packing import Collator, best_fit, sequences_make


@given(st.lists(st.integers(1, 50), max_size=200), st.integers(50, 80))
def test_every_document_is_in_exactly_one_bin_with_room_for_it(lengths: list[int], capacity: int) -> None:
    bins = best_fit(lengths, capacity)
    assert sorted(i for members in bins for i in members) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in members) <= capacity for members in bins)
    # No two bins could be one: that is what "best fit" promises at least.
    sums = sorted(sum(lengths[i] for i in members) for members in bins)
    assert len(sums) < 2 or sums[0] + sums[1] > capacity


def test_a_document_longer_than_a_bin_is_an_error() -> None:
    with pytest.raises(ValueError, match="document 1 has 9 tokens, a sequence holds 8"):
        best_fit([1, 9], 8)


def test_the_seed_decides_the_order() -> None:
    documents = [Document(str(i), [i] * 5, [i] * 5) for i in range(20)]
    assert sequences_make(documents, 16, True, 1) == sequences_make(documents, 16, True, 1)
    assert sequences_make(documents, 16, True, 1) != sequences_make(documents, 16, True, 2)


def documents_of(tokenizer: Any, count: int = 9) -> list[Document]:
    return Encoder(tokenizer, 256).encode([builders.as_row(builders.row(i)) for i in range(count)])


def measure(model: Any, batches: list[dict[str, Any]]) -> tuple[float, dict[str, Any]]:
    """Loss per supervised token over all batches, and its gradients."""
    # Here and below: torch is imported by the tests that need it, so that collecting them does not.
    from training.trainer import supervised_loss

    model.zero_grad()
    parts = [supervised_loss(model, batch) for batch in batches]
    loss = sum(part[0] for part in parts) / sum(int(part[1]) for part in parts)
    loss.backward()
    return float(loss.detach()), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    import torch

    return a.keys() == b.keys() and all(torch.allclose(a[n], b[n], atol=1e-5, rtol=1e-5) for n in a)


@pytest.mark.parametrize("rows_a_batch", [1, 2, 3])
def test_packed_loss_and_gradients_equal_unpacked_ones(tiny: Path, tokenizer: Any, rows_a_batch: int) -> None:
    model, collate = model_load(tiny), Collator(tokenizer.pad_token_id)
    documents = documents_of(tokenizer)
    alone = [collate([s]) for s in sequences_make(documents, 256, False, 0)]
    packed_sequences = sequences_make(documents, 256, True, 0)
    assert len(packed_sequences) < len(documents)
    packed = [collate(packed_sequences[i : i + rows_a_batch]) for i in range(0, len(packed_sequences), rows_a_batch)]
    loss_alone, gradients_alone = measure(model, alone)
    loss_packed, gradients_packed = measure(model, packed)
    assert loss_packed == pytest.approx(loss_alone, abs=1e-5)
    assert same(gradients_alone, gradients_packed)


def test_the_loss_is_that_of_plain_cross_entropy(tiny: Path, tokenizer: Any) -> None:
    """Against the definition, written down without packing, padding or chosen columns."""
    import torch

    model, (document, *_) = model_load(tiny), documents_of(tokenizer)
    logits = model(torch.tensor([document.input_ids])).logits[0].log_softmax(-1).detach()
    expected = -sum(
        float(logits[i - 1, label]) for i, label in enumerate(document.labels) if label != IGNORE
    ) / document.supervised
    collate = Collator(tokenizer.pad_token_id)
    assert measure(model, [collate(sequences_make([document], 256, True, 0))])[0] == pytest.approx(expected, abs=1e-5)


def test_a_documents_neighbour_changes_nothing_for_it(tiny: Path, tokenizer: Any) -> None:
    import torch

    model, (a, b, c, *_) = model_load(tiny).eval(), documents_of(tokenizer)
    collate = Collator(tokenizer.pad_token_id)

    def last_logits(first: Document) -> Any:
        joined = {"input_ids": first.input_ids[:20] + c.input_ids, "labels": [IGNORE] * (20 + len(c.input_ids)),
                  "position_ids": [*range(20), *range(len(c.input_ids))]}
        batch = collate([joined])
        with torch.no_grad():
            return model(batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0, 20:]

    assert torch.allclose(last_logits(a), last_logits(b), atol=1e-5)


def test_padding_changes_no_loss(tiny: Path, tokenizer: Any) -> None:
    model, collate = model_load(tiny), Collator(tokenizer.pad_token_id)
    short, long = sorted(documents_of(tokenizer), key=lambda d: len(d.input_ids))[:: len(documents_of(tokenizer)) - 1]
    pair = sequences_make([short, long], 256, False, 0)
    together, _ = measure(model, [collate(pair)])
    apart, _ = measure(model, [collate([s]) for s in pair])
    assert together == pytest.approx(apart, abs=1e-5)
    assert int(collate(pair)["real_tokens"].sum()) == len(short.input_ids) + len(long.input_ids)
