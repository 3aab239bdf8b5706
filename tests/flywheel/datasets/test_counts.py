"""Every number on the pages of clearance and of a snapshot opens into a list of as many rows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from annotation.models import Annotation, Project, Task
from flywheel.capture.models import Example
from flywheel.stats.models import Gauge
from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain
from provenance.services import steward_quarantine
from tests.flywheel.datasets.conftest import House

pytestmark = pytest.mark.django_db


@pytest.fixture
def mixed(house: House, steward: Any) -> House:
    """Records in every state: refused for one reason, for two, cleared and open, answered and not settled, twice settled."""
    house.settle(60, customers=60)
    house.settle(7, start=100, customers=200, consent=False, license_spdx="CC-BY-NC-4.0")
    house.settle(3, start=120, customers=300, consent=False)
    for number in range(4):
        steward_quarantine(
            record=Example.objects.get(external_id=f"t-{number}").provenance, reason="odd", by=steward
        )
    Task.objects.filter(example__external_id__in=["t-10", "t-11"]).update(state="in_review")
    for external_id in ("t-12", "t-13", "t-14"):
        Task.objects.filter(example__external_id=external_id).update(state="open")
        Annotation.objects.filter(task__example__external_id=external_id).update(state="undone")
    other = Project.objects.create(name="Other", slug="other", label_config=house.project.label_config)
    task = Task.objects.get(example__external_id="t-20")
    Task.objects.create(project=other, example=task.example, state="settled", settled_at=task.settled_at)
    answer = Example.objects.get(external_id="t-21").tasks.get().settled_annotation
    answer.result[0]["value"]["text"] = [" "]
    answer.save()
    jobs_drain()
    stats_refresh(due_only=False)
    return house


def listed(client: Client, url: str) -> int:
    """How many rows a list has, over all its pages."""
    count, after = 0, ""
    while True:
        page = client.get(url, {"after": after} if after else {}, follow=True).context["page"]
        count += len(page.rows)
        if not page.next:
            return count
        after = page.next


def shown(html: str) -> list[tuple[str, int]]:
    """(address, number) of everything on a page that shows a number beside a link to a list."""
    funnel = re.findall(r'<li>\s*<a href="([^"]+)">[^<]*</a>\s*<progress[^>]*>\s*</progress>\s*<span>([\d,]+)</span>', html)
    stats = re.findall(r'<a class="stat[^"]*" href="([^"]+)">.*?<[^>]*class="stat-value"[^>]*>\s*([\d,]+)', html, re.S)
    splits = re.findall(r'<td>\s*<a href="([^"]+)">[^<]*</a>\s*</td>\s*<td class="num" data-label="Rows">([\d,]+)', html)
    return [(url.replace("&amp;", "&"), int(n.replace(",", ""))) for url, n in (*funnel, *stats, *splits)]


@pytest.mark.parametrize("purpose", ["sft", "continued_pretraining", "evaluation"])
def test_each_count_of_clearance_is_the_length_of_its_list(mixed: House, client_of: Any, steward: Any, purpose: str):
    client = client_of(steward)
    page = client.get("/clearance/", {"purpose": purpose, "region": "EU"})
    found = shown(page.content.decode())
    assert [name for name, _, _ in page.context["counts"].stages] == ["captured", "annotated", "settled", "ready"]
    assert [n for _, _, n in page.context["counts"].stages] == [70, 67, 65, 51]
    assert len(found) == 4 + 2 + len(page.context["counts"].rules)
    for url, number in found:
        # "?purpose=…" goes before the cursor of the next page.
        assert listed(client, url) == number, url


def test_a_stage_that_was_not_counted_yet_says_so(mixed: House, client_of: Any, steward: Any):
    Gauge.objects.filter(name="stage.settled").delete()
    page = client_of(steward).get("/clearance/")
    assert [n for _, _, n in page.context["counts"].stages] == [70, 67, None, 51]
    assert page.content.decode().count("not counted yet") == 1


def test_each_count_of_a_snapshot_is_the_length_of_its_list(mixed: House, client_of: Any, lead: Any):
    client = client_of(lead)
    snapshot = mixed.freeze()
    assert snapshot.status == "frozen", snapshot.error
    found = shown(client.get(f"/snapshots/{snapshot.uid}/").content.decode())
    assert len(found) == 3 + 2 + len(snapshot.refused_counts)
    for url, number in found:
        assert listed(client, url) == number, url
    assert snapshot.row_count == 50, "51 are ready and one of them has no reply"


def test_a_stage_is_listed_in_a_fixed_number_of_queries(
    mixed: House, client_of: Any, steward: Any, django_assert_max_num_queries: Any
):
    client = client_of(steward)
    client.get("/clearance/")
    for stage in ("captured", "annotated", "settled", "ready", "cleared", "no_consent"):
        with django_assert_max_num_queries(8):
            client.get(f"/clearance/sft/{stage}/")


def test_a_purpose_whose_verdicts_are_not_kept_says_so(mixed: House, client_of: Any, steward: Any):
    page = client_of(steward).get("/clearance/", {"purpose": "preference"}).content.decode()
    assert "Not judged beforehand" in page
    assert "Nothing is refused" not in page
