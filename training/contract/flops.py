"""Arithmetic of training: the one estimate that the control plane plans with and the trainer reports."""

from __future__ import annotations


def flops_per_token(*, parameters: int, layers: int, width: int, length: int, tuning: str) -> float:
    """FLOPs to train on one token. `width` is the hidden size, `length` the sequence length in tokens.

    Full tuning: 6 per weight (Kaplan et al. 2020, appendix B), and 12·L·d·T for attention (Chowdhery et al. 2022,
    PaLM, appendix B). LoRA: 4 per weight, because the gradients of the frozen base's weights are not computed.
    """
    # The web plans with this function too, so an estimate and the report of a run can be compared.
    if tuning == "lora":
        return 4.0 * parameters
    return 6.0 * parameters + 12.0 * layers * width * length
