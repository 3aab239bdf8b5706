"""The promotion rule and its overrides."""

from __future__ import annotations

import pytest

from flywheel.runs import domain


def verdict(**fields: object) -> domain.PromotionVerdict:
    return domain.promotion_rule(**{  # type: ignore[arg-type]
        "split": "test", "rows": 40, "tokens": 400, "base_loss": 3.0, "tuned_loss": 2.0,
    } | fields)


def test_a_model_that_beats_its_base_on_test_passes_with_its_figures() -> None:
    found = verdict()
    assert found.passes
    assert "2.0000 against the base model's 3.0000 on 40 test rows" in found.sentence
    assert found.notes == ()


@pytest.mark.parametrize("fields", [
    {"tuned_loss": 3.0}, {"tuned_loss": 3.1}, {"split": "validation"}, {"split": None}, {"rows": 0},
    {"tuned_loss": float("nan")}, {"base_loss": float("inf")}, {"tuned_loss": None},
])
def test_any_other_measurement_does_not_pass(fields: dict[str, object]) -> None:
    assert not verdict(**fields).passes


def test_a_small_sample_and_a_small_difference_are_noted() -> None:
    found = verdict(rows=5, tuned_loss=2.99)
    assert found.passes
    assert len(found.notes) == 2


def test_an_override_needs_a_written_reason() -> None:
    assert domain.override_problem("  because ")
    assert not domain.override_problem("The samples read much better.")
