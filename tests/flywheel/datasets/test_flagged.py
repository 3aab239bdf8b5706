"""A task with an open flag, or closed after one, goes into no snapshot, whenever it was flagged."""

from __future__ import annotations

from typing import Any

import pytest

from annotation.models import Membership, Task
from annotation.services import flag_resolve, task_flag
from flywheel.datasets.selectors import unsettled_count
from flywheel.datasets.services import build
from tests.flywheel.datasets.conftest import House

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief(house: House) -> Any:
    """A lead of the project, who may flag and decide."""
    Membership.objects.get_or_create(project=house.project, user=house.owner, role="lead")
    return house.owner


def flag(house: House, by: Any) -> Any:
    task = Task.objects.filter(project=house.project, state="settled").order_by("pk").first()
    assert task is not None
    return task_flag(task_id=task.pk, user=by, reason="personal_data")


def test_a_flagged_task_is_left_out_until_it_is_given_back(house: House, chief):
    house.settle(6)
    whole = house.freeze()
    raised = flag(house, chief)
    without = house.freeze()
    assert (whole.row_count, without.row_count) == (6, 5)
    assert without.manifest["gate"]["unsettled"] == 1
    flag_resolve(flag_id=raised.pk, by=chief, decision="return")
    assert house.freeze().merkle_root == whole.merkle_root


def test_a_closed_task_is_left_out_and_waits_for_nobody(house: House, chief):
    house.settle(6)
    flag_resolve(flag_id=flag(house, chief).pk, by=chief, decision="close")
    assert house.freeze().row_count == 5
    assert unsettled_count(house.project) == 0


@pytest.mark.parametrize("step", ["_rows_read", "_rows_write", "_files_store"])
def test_what_is_flagged_while_it_is_built_is_not_in_it(house: House, chief, monkeypatch, step: str):
    house.settle(10)
    real, left = getattr(build, step), [1]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            flag(house, chief)
        return result

    monkeypatch.setattr(build, step, interrupted)
    snapshot = house.request()
    house.build(snapshot)
    assert (snapshot.status, snapshot.row_count) == ("frozen", 9)
