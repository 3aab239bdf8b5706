"""Leases, heartbeats, cancelling and sweeping, as the services see them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, TrainingRun
from flywheel.runs.services.leases import LeaseLost, TokenRefused
from flywheel.work.jobs import jobs_drain
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages, back, budget_now
from tests.flywheel.runs.conftest import upload_model

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


# -- leases ----------------------------------------------------------------------------------------------------------
def test_a_lease_is_given_once_and_repeated_to_the_same_worker_only(queued: Leased) -> None:
    run, token = queued
    first = services.job_lease(job=run, token=token, worker="a")
    assert (first.status, first.attempts) == ("running", 1)
    assert services.job_lease(job=run, token=token, worker="a").attempts == 1
    with pytest.raises(LeaseLost):
        services.job_lease(job=run, token=token, worker="b")


def test_sending_the_message_again_voids_the_token_before(queued: Leased, messages: Messages) -> None:
    run, old = queued
    assert services.job_dispatch(job=run)
    with pytest.raises(TokenRefused):
        services.job_lease(job=run, token=old, worker="a")
    services.job_lease(job=run, token=messages.sent[-1]["token"], worker="a")
    assert not services.job_dispatch(job=run)


def test_a_heartbeat_renews_and_meters(leased: Leased) -> None:
    run, token = leased
    back(run, heartbeat_at=timezone.now() - timedelta(seconds=10))
    assert services.job_heartbeat(job=run, token=token) == {"cancel": False, "reason": "", "lease_seconds": 45}
    run.refresh_from_db()
    assert run.seconds == pytest.approx(10, abs=1)
    assert run.cost == pytest.approx(Decimal("0.01"), abs=Decimal("0.002"))


def test_a_gap_is_metered_as_one_lease_at_most(leased: Leased) -> None:
    run, token = leased
    back(run, heartbeat_at=timezone.now() - timedelta(hours=9))
    services.job_heartbeat(job=run, token=token)
    run.refresh_from_db()
    assert run.seconds == 45


def test_a_run_that_used_up_its_reservation_is_told_to_stop(leased: Leased) -> None:
    run, token = leased
    back(run, seconds=10_000_000.0)
    answer = services.job_heartbeat(job=run, token=token)
    assert answer["cancel"]
    assert answer["reason"].startswith("budget")


def test_a_lease_that_ran_out_is_renewed_while_nobody_else_took_the_run(leased: Leased) -> None:
    run, token = leased
    back(run, claim_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost, match="renew"):
        services.run_report(run=run, token=token, events=[])
    services.job_heartbeat(job=run, token=token)
    services.run_report(run=run, token=token, events=[])


# -- cancel and sweep ------------------------------------------------------------------------------------------------
def test_a_queued_run_is_cancelled_at_once(queued: Leased, admin: User) -> None:
    run, token = queued
    assert services.remote_job_cancel(job=run, by=admin).status == "cancelled"
    assert budget_now().reserved == 0
    with pytest.raises(LeaseLost):
        services.job_lease(job=run, token=token, worker="a")


def test_a_running_run_is_cancelled_through_the_heartbeat(leased: Leased, lead: User) -> None:
    run, token = leased
    assert services.remote_job_cancel(job=run, by=lead).status == "cancelling"
    assert services.job_heartbeat(job=run, token=token)["cancel"]
    assert services.job_fail(job=run, token=token, error="cancelled").status == "cancelled"
    assert budget_now().reserved == 0


def test_a_result_that_comes_after_the_cancel_makes_no_model(leased: Leased, lead: User) -> None:
    run, token = leased
    upload_model(run, token)
    services.remote_job_cancel(job=run, by=lead)
    assert services.run_complete(run=run, token=token, result=builders.result_of(run)).status == "cancelled"
    assert ModelVersion.objects.count() == 0


def test_others_cancel_nothing(leased: Leased, annotator: User, steward: User, stranger: User) -> None:
    for person in (annotator, steward, stranger):
        with pytest.raises(Forbidden):
            services.remote_job_cancel(job=leased[0], by=person)


def test_an_ended_run_cannot_be_cancelled(queued: Leased, admin: User) -> None:
    services.remote_job_cancel(job=queued[0], by=admin)
    with pytest.raises(Conflict, match="already ended"):
        services.remote_job_cancel(job=queued[0], by=admin)


def test_the_run_of_a_dead_worker_is_queued_again_with_a_new_token(leased: Leased, messages: Messages) -> None:
    run, token = leased
    assert services.remote_jobs_sweep() == 0
    back(run, claim_expires_at=timezone.now() - timedelta(seconds=1))
    assert services.remote_jobs_sweep() == 1
    run.refresh_from_db()
    assert run.status == "queued"
    assert "no sign of life" in run.error
    with pytest.raises(TokenRefused):
        services.job_heartbeat(job=run, token=token)
    fresh = messages.token_of(run)
    with pytest.raises(TokenRefused):
        services.run_report(run=run, token=token, events=[])
    assert services.job_lease(job=run, token=fresh, worker="b").attempts == 2


def test_a_run_whose_worker_has_gone_silent_is_cancelled_at_once(leased: Leased, admin: User) -> None:
    run, token = leased
    back(run, heartbeat_at=timezone.now() - timedelta(seconds=11))
    assert services.remote_job_cancel(job=run, by=admin).status == "cancelled"
    assert builders.budget_now().reserved == 0
    with pytest.raises(services.LeaseLost):
        services.job_heartbeat(job=run, token=token)


def test_a_worker_that_falls_silent_while_it_is_to_stop_is_not_waited_for(leased: Leased, admin: User) -> None:
    run, _ = leased
    services.remote_job_cancel(job=run, by=admin)
    assert services.remote_jobs_sweep() == 0
    back(run, heartbeat_at=timezone.now() - timedelta(seconds=11))
    assert services.remote_jobs_sweep() == 1
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_a_cancelled_run_whose_worker_is_gone_ends_all_the_same(leased: Leased, admin: User) -> None:
    run, _ = leased
    services.remote_job_cancel(job=run, by=admin)
    back(run, claim_expires_at=timezone.now() - timedelta(seconds=1))
    services.remote_jobs_sweep()
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_a_worker_that_does_not_stop_loses_its_token(leased: Leased, admin: User) -> None:
    run, token = leased
    services.remote_job_cancel(job=run, by=admin)
    back(run, cancel_requested_at=timezone.now() - timedelta(seconds=31))
    services.remote_jobs_sweep()
    run.refresh_from_db()
    assert run.status == "cancelled"
    with pytest.raises(LeaseLost):
        services.job_heartbeat(job=run, token=token)


def test_a_message_that_seems_lost_is_sent_again(queued: Leased, messages: Messages) -> None:
    run, _ = queued
    assert jobs_drain() == 0, "60 seconds are left to a trainer"
    back(run, available_at=timezone.now() - timedelta(seconds=1))
    assert jobs_drain() == 1
    assert len(messages.sent) == 2
    run.refresh_from_db()
    assert (run.available_at - timezone.now()).total_seconds() == pytest.approx(120, abs=5)


def test_nothing_is_sent_again_while_a_trainer_is_busy(
    leased: Leased, messages: Messages, lead: User, admin: User
) -> None:
    other = services.run_approve(run=builders.requested(lead, of=leased[0].snapshot), by=admin)
    jobs_drain()
    back(other, available_at=timezone.now() - timedelta(hours=1))
    assert jobs_drain() == 0
    other.refresh_from_db()
    assert other.available_at > timezone.now()
    assert len(messages.sent) == 2, "each was sent once"


# -- beyond the reservation ------------------------------------------------------------------------------------------
def test_a_worker_that_goes_on_beyond_its_reservation_loses_its_token(leased: Leased) -> None:
    run, token = leased
    back(run, seconds=float(run.reserved / Decimal("3.6") * 3600) + 60)
    assert services.job_heartbeat(job=run, token=token)["reason"].startswith("budget")
    assert services.remote_jobs_sweep() == 0, "stopping takes a while"
    back(run, seconds=run.seconds * 1.1 + 700)
    services.job_heartbeat(job=run, token=token)
    run.refresh_from_db()
    cost = run.cost
    assert services.remote_jobs_sweep() == 1
    run.refresh_from_db()
    assert run.status == "failed"
    assert "went on" in run.error
    assert (budget_now().reserved, budget_now().spent) == (0, cost)
    with pytest.raises(LeaseLost):
        services.job_heartbeat(job=run, token=token)


def test_a_run_within_its_reservation_is_left_alone(leased: Leased) -> None:
    run, token = leased
    back(run, seconds=float(run.reserved / Decimal("3.6") * 3600) - 60)
    services.job_heartbeat(job=run, token=token)
    assert services.remote_jobs_sweep() == 0


def test_two_sweeps_find_an_expired_run_that_is_being_cancelled_once(leased: Leased, admin: User) -> None:
    run, _ = leased
    services.remote_job_cancel(job=run, by=admin)
    back(run, claim_expires_at=timezone.now() - timedelta(hours=1),
         cancel_requested_at=timezone.now() - timedelta(hours=1))
    assert services.remote_jobs_sweep() == 1
    assert services.remote_jobs_sweep() == 0
    assert LedgerEntry.objects.filter(action="run.cancelled").count() == 1
