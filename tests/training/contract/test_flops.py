"""FLOPs of training on one token."""

from __future__ import annotations

from training.contract.flops import flops_per_token


def test_full_tuning_counts_six_per_weight_and_attention() -> None:
    found = flops_per_token(parameters=100, layers=2, width=8, length=16, tuning="full")
    assert found == 6 * 100 + 12 * 2 * 8 * 16


def test_lora_counts_four_per_weight() -> None:
    assert flops_per_token(parameters=100, layers=2, width=8, length=16, tuning="lora") == 400
