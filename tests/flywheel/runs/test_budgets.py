"""The month's budget: taken over from the month before, once, at the border that the installation names."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.celery import app
from flywheel.core.errors import Conflict, Forbidden
from flywheel.core.models import User
from flywheel.runs import selectors, services
from flywheel.runs.models import Budget, ModelVersion, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages

pytestmark = pytest.mark.django_db
At = Callable[..., None]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch, settings: Any) -> At:
    """Set the clock (UTC) and the zone in which months are counted."""

    def move(moment: str, zone: str = "UTC") -> None:
        now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        settings.FLYWHEEL = settings.FLYWHEEL | {"BUDGET_TIME_ZONE": ZoneInfo(zone)}
        monkeypatch.setattr(timezone, "now", lambda: now)

    return move


def months() -> list[tuple[date, Decimal]]:
    return list(Budget.objects.order_by("month").values_list("month", "cap"))


# -- the border ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("moment", "zone", "month"), [
    ("2026-01-31T23:59:59.999999", "UTC", date(2026, 1, 1)),
    ("2026-02-01T00:00:00", "UTC", date(2026, 2, 1)),
    ("2026-01-31T22:59:59", "Europe/Berlin", date(2026, 1, 1)),
    ("2026-01-31T23:00:00", "Europe/Berlin", date(2026, 2, 1)),
    # In summer Berlin is two hours ahead.
    ("2026-06-30T21:59:59", "Europe/Berlin", date(2026, 6, 1)),
    ("2026-06-30T22:00:00", "Europe/Berlin", date(2026, 7, 1)),
    ("2026-12-31T10:00:00", "Pacific/Kiritimati", date(2027, 1, 1)),
    ("2027-01-01T11:59:59", "Etc/GMT+12", date(2026, 12, 1)),
    ("2028-02-29T12:00:00", "UTC", date(2028, 2, 1)),
])
def test_a_month_begins_at_midnight_where_the_budget_is_kept(at: At, moment: str, zone: str, month: date) -> None:
    at(moment, zone)
    assert selectors.month_of() == month


def test_a_day_that_is_given_is_taken_as_it_is(at: At) -> None:
    at("2026-01-31T23:30:00", "Europe/Berlin")
    assert selectors.month_of(date(2026, 1, 31)) == date(2026, 1, 1)


# -- carrying over ---------------------------------------------------------------------------------------------------
def test_a_new_month_takes_over_cap_and_threshold_and_not_what_was_left(at: At, admin: User) -> None:
    at("2026-01-31T12:00:00")
    builders.budget(admin, cap="40", threshold="7")
    Budget.objects.update(reserved=Decimal(5), spent=Decimal(11))
    at("2026-02-01T00:00:00")
    made = services.budget_carry()
    assert made is not None
    assert (made.cap, made.second_person_above, made.currency) == (Decimal(40), Decimal(7), "EUR")
    assert (made.reserved, made.spent, made.carried_from) == (0, 0, date(2026, 1, 1))
    before = Budget.objects.get(month=date(2026, 1, 1))
    assert (before.reserved, before.spent) == (5, 11)


def test_carrying_twice_is_the_same_as_once(at: At, admin: User) -> None:
    at("2026-01-31T12:00:00")
    builders.budget(admin)
    at("2026-02-01T00:00:00")
    for _ in range(3):
        services.budget_carry()
    assert len(months()) == 2
    entry = LedgerEntry.objects.get(action="budget.carry")
    assert (entry.object, entry.payload["from"], entry.payload["cap"]) == ("budget:2026-02", "2026-01", "100.00")
    assert ledger_verify().ok


def test_what_an_admin_has_set_is_never_carried_over(at: At, admin: User) -> None:
    at("2026-01-31T12:00:00")
    builders.budget(admin, cap="40")
    services.budget_set(cap=Decimal(3), second_person_above=Decimal(1), by=admin, month=date(2026, 2, 1))
    at("2026-02-01T00:00:00")
    assert services.budget_carry() == Budget.objects.get(month=date(2026, 2, 1), cap=Decimal(3))


def test_a_budget_set_for_later_is_not_taken_for_the_month_before(at: At, admin: User) -> None:
    at("2026-01-31T12:00:00")
    builders.budget(admin, cap="40")
    services.budget_set(cap=Decimal(900), second_person_above=Decimal(1), by=admin, month=date(2026, 6, 1))
    at("2026-02-10T00:00:00")
    services.budget_carry()
    assert Budget.objects.get(month=date(2026, 2, 1)).cap == 40


def test_an_installation_that_stood_still_for_months_takes_over_the_newest(at: At, admin: User) -> None:
    at("2025-11-30T12:00:00")
    builders.budget(admin, cap="40")
    at("2026-03-01T00:00:00")
    made = services.budget_carry()
    assert made is not None
    assert made.carried_from == date(2025, 11, 1)
    assert [m for m, _ in months()] == [date(2025, 11, 1), date(2026, 3, 1)], "months without a visit get none"


def test_where_nobody_ever_set_a_budget_nothing_is_carried() -> None:
    assert services.budget_carry() is None
    assert not Budget.objects.exists()


def test_beat_carries_over_every_few_minutes(at: At, admin: User) -> None:
    at("2026-01-31T12:00:00")
    builders.budget(admin)
    schedule = next(e for e in app.conf.beat_schedule.values() if e["task"] == "runs.budget")
    assert schedule["schedule"] <= 600
    at("2026-02-01T00:00:01")
    app.loader.import_default_modules()
    app.tasks["runs.budget"]()
    assert selectors.budget_now() is not None


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_many_that_carry_at_once_make_one_budget(admin: User) -> None:
    last = services.budget_set(
        cap=Decimal(40), second_person_above=Decimal(7), by=admin, month=date(2020, 1, 1)
    )
    start, failures = threading.Barrier(8), []

    def carry() -> None:
        start.wait()
        try:
            services.budget_carry()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=carry) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Budget.objects.exclude(pk=last.pk).get().cap == 40
    assert LedgerEntry.objects.filter(action="budget.carry").count() == 1


# -- approving across the border -------------------------------------------------------------------------------------
def test_the_first_approval_of_a_month_does_not_wait_for_beat(
    at: At, run: TrainingRun, admin: User, messages: Messages
) -> None:
    year = selectors.month_of().year + 1
    at(f"{year}-01-01T00:00:00")
    approved = services.run_approve(run=run, by=admin)
    assert approved.budget is not None
    assert approved.budget.month == date(year, 1, 1)
    assert approved.budget.carried_from is not None
    assert Budget.objects.get(month=date(year, 1, 1)).reserved == approved.reserved


def test_a_run_is_settled_in_the_month_that_approved_it(
    at: At, leased: tuple[TrainingRun, str], admin: User
) -> None:
    run, token = leased
    old = run.budget
    assert old is not None
    at(f"{old.month.year + 1}-01-01T00:00:00")
    services.budget_carry()
    services.job_heartbeat(job=run, token=token)
    services.job_fail(job=run, token=token, error="over")
    old.refresh_from_db()
    assert (old.reserved, old.spent > 0) == (0, True)
    new = Budget.objects.exclude(pk=old.pk).get()
    assert (new.reserved, new.spent) == (0, 0)


def test_what_is_given_back_leaves_no_rest(leased: tuple[TrainingRun, str]) -> None:
    run, token = leased
    # In binary floating point, which SQLite counts in, 0.3 less 0.1 less 0.2 is below zero.
    Budget.objects.update(reserved=Decimal("0.3"), spent=Decimal("0.1"))
    for amount in ("0.1", "0.2"):
        TrainingRun.objects.update(status="running", reserved=Decimal(amount), claim_expires_at=timezone.now() + timedelta(hours=1))
        services.job_fail(job=run, token=token, error="over")
    assert str(Budget.objects.get().reserved) == "0.0000"


def test_suggestions_of_a_new_month_are_paid_from_it(at: At, model: ModelVersion, admin: User, lead: User) -> None:
    champion = services.model_promote(model=model, by=admin)
    builders.tasks(champion.project, builders.source(lead), 1)
    at(f"{selectors.month_of().year + 1}-03-01T00:00:00")
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    assert batch.budget is not None
    assert batch.budget.carried_from is not None


# -- currencies ------------------------------------------------------------------------------------------------------
def test_the_currency_that_money_is_counted_in_stays(settings: Any, admin: User) -> None:
    builders.budget(admin)
    Budget.objects.update(spent=Decimal(1))
    settings.FLYWHEEL = settings.FLYWHEEL | {"CURRENCY": "SEK"}
    assert builders.budget(admin, cap="7").currency == "EUR"
    with pytest.raises(Conflict, match="counted in EUR"):
        services.budget_set(cap=Decimal(1), second_person_above=Decimal(1), by=admin, currency="SEK")
    Budget.objects.update(spent=Decimal(0))
    assert builders.budget(admin, cap="7").currency == "SEK"


# -- the page --------------------------------------------------------------------------------------------------------
def test_the_page_says_that_a_budget_was_taken_over_and_that_one_was_set(
    at: At, admin: User, client_of: Callable[[User], Client]
) -> None:
    at("2026-01-31T12:00:00")
    client = client_of(admin)
    assert "nothing can be approved" in client.get("/budgets/").content.decode()
    builders.budget(admin, cap="40")
    assert "Set for this month." in client.get("/budgets/").content.decode()
    at("2026-02-01T12:00:00", "Europe/Berlin")
    services.budget_carry()
    page = client.get("/budgets/").content.decode()
    for words in ("Taken over by itself from January 2026", "carried over", "40.00", "midnight, Europe/Berlin"):
        assert words in page
    client.post("/budgets/budget/", {"cap": "55", "second_person_above": "5"})
    page = client.get("/budgets/").content.decode()
    assert "Set for this month." in page
    assert "55.00" in page


def test_only_an_admin_sets_a_budget(lead: User, steward: User) -> None:
    for person in (lead, steward):
        with pytest.raises(Forbidden):
            builders.budget(person)
