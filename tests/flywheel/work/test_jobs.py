"""Jobs: done once, tried again after faults, requested once per key, fenced by their claim."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from flywheel.core.errors import Conflict, NotFound
from flywheel.work import jobs
from flywheel.work.claims import JobCancelled, JobFailed, RetryLater, Superseded
from flywheel.work.jobs import job_add, job_cancel, job_claim, job_run, jobs_dead, jobs_drain, jobs_retry, jobs_sweep
from flywheel.work.models import Job
from flywheel.work.registry import MAX_FAILURES
from tests.conftest import TESTER

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(kind) -> list[dict]:
    return kind("test.topic")


def back(job: Job, **fields) -> None:
    """Set what time or another process would have changed."""
    Job.objects.filter(pk=job.pk).update(**fields)
    job.refresh_from_db()


def ago(**fields) -> object:
    return timezone.now() - timedelta(**fields)


# -- once ------------------------------------------------------------------------------------------------------------
def test_a_job_is_done_once_however_often_it_is_nudged(calls):
    job = job_add(kind="test.topic", payload={"n": 1})
    assert job_run(job.pk)
    assert not job_run(job.pk)
    assert calls == [{"n": 1}]


def test_a_job_that_does_not_exist_is_not_run():
    assert not job_run(12345)


def test_a_kind_that_no_app_registers_cannot_be_requested():
    with pytest.raises(KeyError):
        job_add(kind="test.unknown")


def test_a_rolled_back_change_requests_no_work(calls):
    with transaction.atomic():
        job_add(kind="test.topic")
        transaction.set_rollback(True)
    assert jobs_drain() == 0


def test_a_delayed_job_waits_for_its_time(calls):
    job = job_add(kind="test.topic", delay=timedelta(hours=1))
    assert jobs_drain() == 0
    back(job, available_at=ago(seconds=1))
    assert jobs_drain() == 1


def test_requesting_twice_with_one_key_queues_once(calls):
    first = job_add(kind="test.topic", dedupe_key="a")
    assert job_add(kind="test.topic", dedupe_key="a").pk == first.pk
    job_add(kind="test.topic", dedupe_key="b")
    assert jobs_drain() == 2
    job_add(kind="test.topic", dedupe_key="a")
    assert jobs_drain() == 1


def test_a_request_that_comes_while_the_work_runs_is_done_afterwards(kind):
    def request_again(claim):
        if not claim.payload:
            job_add(kind="test.topic", payload={"again": True}, dedupe_key="a")

    seen = kind("test.topic", request_again)
    job_add(kind="test.topic", dedupe_key="a")
    assert jobs_drain() == 2
    assert seen == [{}, {"again": True}]


def test_long_work_with_a_key_exists_once_until_it_ends(kind):
    kind("test.long", title="Long work")
    first = job_add(kind="test.long", dedupe_key="a", title="One")
    claim = job_claim(first.pk)
    assert job_add(kind="test.long", dedupe_key="a").pk == first.pk
    jobs.job_end(claim, "done", "")
    assert job_add(kind="test.long", dedupe_key="a").pk != first.pk


# -- faults ----------------------------------------------------------------------------------------------------------
def test_a_failed_job_is_put_off_and_given_up_after_the_last_failure(kind):
    def fail(claim):
        raise RuntimeError("boom")

    kind("test.fail", fail)
    job = job_add(kind="test.fail")
    for _ in range(MAX_FAILURES):
        assert not job_run(job.pk)
        assert not job_run(job.pk), "not before its time"
        back(job, available_at=ago(seconds=1))
    assert (job.status, job.error) == ("failed", "RuntimeError: boom")
    assert list(jobs_dead()) == [job]


def test_a_job_that_kills_its_workers_is_given_up(kind):
    seen = kind("test.kill")
    job = job_add(kind="test.kill")
    for _ in range(MAX_FAILURES):
        assert job_claim(job.pk) is not None
        back(job, claim_expires_at=ago(seconds=1))
    assert job_claim(job.pk) is None
    job.refresh_from_db()
    assert job.status == "failed"
    assert "died" in job.error
    assert seen == []


def test_progress_forgives_earlier_failures(calls):
    job = job_add(kind="test.topic")
    back(job, failures=MAX_FAILURES - 1)
    claim = job_claim(job.pk)
    claim.progress(3, 10)
    job.refresh_from_db()
    assert (job.failures, job.done, job.total) == (0, 3, 10)


def test_work_that_no_retry_can_help_ends_at_once_with_its_sentence(kind):
    def fail(claim):
        raise JobFailed("The file is gone.")

    kind("test.fail", fail)
    job = job_add(kind="test.fail")
    job_run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.summary, job.attempts) == ("failed", "The file is gone.", 1)
    assert not jobs_dead().exists()


def test_work_that_asks_to_be_run_later_counts_no_failure(kind):
    def later(claim):
        raise RetryLater("not yet", seconds=0)

    kind("test.later", later)
    job = job_add(kind="test.later")
    assert not job_run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.failures, job.error) == ("queued", 0, "not yet")


def test_a_dead_job_is_queued_again_with_its_attempts_back(calls):
    job = job_add(kind="test.topic")
    back(job, status="failed", failures=MAX_FAILURES, finished_at=timezone.now())
    assert jobs_retry(job_ids=[job.pk]) == 1
    assert jobs_retry(job_ids=[job.pk]) == 0
    assert jobs_drain() == 1


# -- claims ----------------------------------------------------------------------------------------------------------
def test_a_claimed_job_is_left_to_its_worker_until_the_claim_expires(calls):
    job = job_add(kind="test.topic")
    assert job_claim(job.pk) is not None
    assert not job_run(job.pk)
    back(job, claim_expires_at=ago(seconds=1))
    assert job_run(job.pk)


def test_a_stale_worker_cannot_write(calls):
    job = job_add(kind="test.topic")
    stale = job_claim(job.pk)
    back(job, claim_expires_at=ago(seconds=1))
    fresh = job_claim(job.pk)
    for act in (stale.extend, stale.lock, lambda: stale.progress(1)):
        with pytest.raises(Superseded), transaction.atomic():
            act()
    assert not jobs.job_end(stale, "done", "too late")
    assert jobs.job_end(fresh, "done", "in time")
    job.refresh_from_db()
    assert job.summary == "in time"


def test_work_whose_claim_was_taken_over_leaves_the_job_to_the_other(kind):
    def lose(claim):
        Job.objects.filter(pk=claim.job.pk).update(claim_sha256="0" * 64)
        claim.extend()

    kind("test.lose", lose)
    job = job_add(kind="test.lose")
    assert not job_run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.claim_sha256) == ("running", "0" * 64)


def test_the_token_itself_is_never_stored(calls):
    claim = job_claim(job_add(kind="test.topic").pk)
    assert all(claim.token not in str(value) for value in vars(claim.job).values())


# -- cancelling ------------------------------------------------------------------------------------------------------
def test_a_cancelled_job_stops_at_its_next_step(kind):
    def step(claim):
        claim.progress(1, 2)
        job_cancel(job_uid=str(claim.job.uid), by=TESTER)
        claim.progress(2, 2)

    kind("test.long", step, title="Long work")
    job = job_add(kind="test.long", title="Count")
    assert not job_run(job.pk)
    job.refresh_from_db()
    assert (job.status, job.done, job.summary) == ("cancelled", 2, "Cancelled.")
    with pytest.raises(Conflict, match="already ended"):
        job_cancel(job_uid=str(job.uid), by=TESTER)


def test_a_kind_may_refuse_or_take_over_its_cancelling(kind, lead):
    asked = []
    kind("test.duty", title="Duty", cancellable=False)
    kind("test.own", title="Own", cancel=lambda job, by: asked.append((job.pk, by)))
    duty, own = job_add(kind="test.duty", title="A duty"), job_add(kind="test.own", title="Its own")
    with pytest.raises(Conflict, match="cannot be cancelled"):
        job_cancel(job_uid=str(duty.uid), by=TESTER)
    assert not duty.can_be_cancelled
    job_cancel(job_uid=str(own.uid), by=lead)
    assert asked == [(own.pk, lead)]


def test_a_job_that_does_not_exist_cannot_be_cancelled():
    with pytest.raises(NotFound):
        job_cancel(job_uid="00000000-0000-0000-0000-000000000000", by=TESTER)


def test_work_that_cleans_up_names_what_its_cancel_left(kind):
    def stop(claim):
        raise JobCancelled("Cancelled; nothing was kept.")

    kind("test.long", stop, title="Long work")
    job = job_add(kind="test.long")
    job_run(job.pk)
    job.refresh_from_db()
    assert job.summary == "Cancelled; nothing was kept."


# -- sweeping and sending --------------------------------------------------------------------------------------------
def test_the_sweep_nudges_what_was_lost_and_leaves_fresh_jobs_to_their_own_nudge(calls, monkeypatch):
    sent: list[int] = []
    monkeypatch.setattr(jobs, "job_nudge", sent.append)
    lost, dead = job_add(kind="test.topic"), job_add(kind="test.topic")
    back(lost, available_at=ago(minutes=1))
    job_claim(dead.pk)
    back(dead, claim_expires_at=ago(seconds=1))
    job_add(kind="test.topic")
    assert jobs_sweep() == 2
    assert sorted(sent) == [lost.pk, dead.pk]


def test_a_remote_job_is_sent_and_waits_in_the_queue(kind):
    sent: list[int] = []
    kind("test.remote", send=lambda job: sent.append(job.pk), title="Remote")
    job = job_add(kind="test.remote")
    assert job_run(job.pk)
    assert not job_run(job.pk), "it was sent just now"
    job.refresh_from_db()
    assert (sent, job.status) == ([job.pk], "queued")


def test_a_remote_job_that_could_not_be_sent_is_tried_again(kind):
    def send(job):
        raise OSError("the broker is away")

    kind("test.remote", send=send, title="Remote")
    job = job_add(kind="test.remote")
    for _ in range(MAX_FAILURES + 1):
        assert not job_run(job.pk)
        back(job, available_at=ago(seconds=1))
    assert (job.status, job.error) == ("queued", "OSError: the broker is away")


def test_a_remote_claim_that_expired_is_not_run_here(kind):
    kind("test.remote", send=lambda job: None, title="Remote")
    job = job_add(kind="test.remote")
    back(job, status="running", claim_expires_at=ago(hours=1))
    assert (jobs_sweep(), jobs_drain()) == (0, 0)
