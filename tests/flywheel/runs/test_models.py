"""Promotion: by the rule, or over it with a written reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, TrainingRun
from tests.flywheel.runs import builders

pytestmark = pytest.mark.django_db
Trained = Callable[..., ModelVersion]
WORSE = {"split": "test", "rows": 40, "tokens": 400, "base_loss": 2.0, "tuned_loss": 2.5, "samples": []}


# -- promotion -------------------------------------------------------------------------------------------------------
def test_a_better_model_becomes_champion_and_the_one_before_retires(
    model: ModelVersion, trained: Trained, admin: User, lead: User
) -> None:
    first = services.model_promote(model=model, by=admin)
    assert (first.status, first.override_reason) == ("champion", "")
    second = trained(builders.requested(lead, of=model.run.snapshot, where=model.project))
    services.model_promote(model=second, by=admin)
    first.refresh_from_db()
    assert first.status == "retired"
    entry = LedgerEntry.objects.filter(action="model.promote").order_by("-seq")[0]
    assert entry.payload["retired"] == first.name


def test_promoting_the_champion_again_changes_nothing(model: ModelVersion, admin: User) -> None:
    services.model_promote(model=model, by=admin)
    entries = LedgerEntry.objects.count()
    services.model_promote(model=model, by=admin)
    assert LedgerEntry.objects.count() == entries


def test_a_worse_model_needs_a_written_reason_that_is_ledgered(run: TrainingRun, trained: Trained, admin: User) -> None:
    model = trained(run, evaluation=WORSE)
    with pytest.raises(Conflict, match="not better"):
        services.model_promote(model=model, by=admin)
    with pytest.raises(ValidationFailed, match="at least 10"):
        services.model_promote(model=model, by=admin, override_reason="because")
    reason = "Its replies are shorter, which is what we want."
    assert services.model_promote(model=model, by=admin, override_reason=reason).override_reason == reason
    assert LedgerEntry.objects.get(action="model.promote").payload["override_reason"] == reason


def test_a_model_without_evaluation_needs_a_reason(run: TrainingRun, trained: Trained, admin: User) -> None:
    with pytest.raises(Conflict, match="not evaluated"):
        services.model_promote(model=trained(run, evaluation={}), by=admin)


def test_a_reason_is_not_kept_when_none_was_needed(model: ModelVersion, admin: User) -> None:
    assert services.model_promote(model=model, by=admin, override_reason="just to be sure").override_reason == ""


def test_no_reason_promotes_a_model_of_withdrawn_rows(model: ModelVersion, admin: User) -> None:
    Snapshot.objects.update(status="tainted")
    with pytest.raises(Conflict, match="no reason overrides"):
        services.model_promote(model=model, by=admin, override_reason="We really want it anyway.")


def test_only_an_admin_promotes(model: ModelVersion, lead: User, steward: User, stranger: User) -> None:
    for person in (lead, steward, stranger):
        with pytest.raises(Forbidden):
            services.model_promote(model=model, by=person)
