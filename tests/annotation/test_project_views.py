"""The projects' pages: making, settings with previews, people, dashboard, tasks."""

from __future__ import annotations

import re

import pytest

from annotation.models import Membership, Project, Task
from annotation.view_models import guidelines_html
from flywheel.stats.registry import stats_refresh
from tests.annotation.test_services import submit
from tests.annotation.test_views import FACTS

pytestmark = pytest.mark.django_db


def settings_of(project, **change):
    return {
        "name": project.name, "overlap": project.overlap, "lease_minutes": 15, "guidelines": project.guidelines,
        "label_config": project.label_config, "sources": list(project.sources.values_list("pk", flat=True)),
    } | change


def test_a_lead_makes_a_project_and_is_its_lead(lead, source, client_of):
    body = {"name": "Calls", "overlap": 2, "lease_minutes": 5, "guidelines": "# Hi", "sources": [source.pk],
            "label_config": FACTS}
    response = client_of(lead).post("/projects/new/", body)
    assert response["Location"] == "/projects/calls/settings/"
    made = Project.objects.get()
    assert (made.overlap, made.lease_seconds, list(made.sources.all())) == (2, 300, [source])
    assert Membership.objects.get().role == "lead"
    again = client_of(lead).post("/projects/new/", body)
    assert again.status_code == 400
    assert "already" in again.content.decode()


def test_a_faulty_configuration_is_shown_beside_and_kept(project, lead, client_of):
    response = client_of(lead).post("/projects/support-replies/settings/", settings_of(project, label_config="<View>x"))
    html = response.content.decode()
    assert response.status_code == 400
    assert "not well-formed XML" in html
    assert "&lt;View&gt;x" in html
    project.refresh_from_db()
    assert project.label_config.startswith("<View>")


def test_settings_are_saved(project, lead, client_of):
    body = settings_of(project, name="New name", sources=[])
    response = client_of(lead).post("/projects/support-replies/settings/", body)
    assert response.status_code == 302
    project.refresh_from_db()
    assert (project.name, project.sources.count()) == ("New name", 0)


def test_previews_show_controls_or_the_fault_and_harmless_guidelines(project, lead, client_of):
    client = client_of(lead)
    assert 'data-control="facts"' in client.post("/projects/preview/config/", {"label_config": FACTS}).content.decode()
    bad = client.post("/projects/preview/config/", {"label_config": "<View><Foo/></View>"}).content.decode()
    assert "&lt;Foo&gt; is not supported" in bad
    text = "# Title\n\n<script>alert(1)</script> [x](javascript:alert(1)) **bold**"
    html = client.post("/projects/preview/guidelines/", {"guidelines": text}).content.decode()
    assert "<h3>Title</h3>" in html
    assert "<strong>bold</strong>" in html
    assert "<script>" not in html
    assert 'href="javascript' not in html


def test_people_are_added_and_removed(project, lead, stranger, client_of):
    client = client_of(lead)
    url = "/projects/support-replies/members/"
    client.post(f"{url}add/", {"username": "sid", "role": "annotator"})
    assert Membership.objects.filter(project=project, user=stranger).exists()
    assert client.post(f"{url}add/", {"username": "nobody", "role": "annotator"}).status_code == 400
    client.post(f"{url}remove/", {"username": "sid", "role": "annotator"})
    assert not Membership.objects.filter(project=project, user=stranger).exists()
    refused = client.post(f"{url}remove/", {"username": "lea", "role": "lead"}, follow=True)
    assert "last lead" in refused.content.decode()


def test_a_project_is_paused_and_resumed(project, lead, client_of):
    client = client_of(lead)
    client.post("/projects/support-replies/pause/", {"pause": "1"})
    assert Project.objects.get().archived_at
    client.post("/projects/support-replies/pause/", {"pause": "0"})
    assert Project.objects.get().archived_at is None


def test_the_dashboard_reads_gauges_and_not_tasks(project, stock, lead, answer, annotator, client_of,
                                                  django_assert_max_num_queries):
    stock(20)
    submit(project, annotator, answer)
    stats_refresh(due_only=False)
    client = client_of(lead)
    with django_assert_max_num_queries(14) as captured:
        html = client.get("/projects/support-replies/").content.decode()
    assert "19" in html
    assert not [q for q in captured.captured_queries if "COUNT(" in q["sql"] and "annotation_task" in q["sql"]]


def test_tasks_are_filtered_by_state_and_paged(project, stock, lead, client_of, django_assert_max_num_queries):
    stock(60)
    client = client_of(lead)
    with django_assert_max_num_queries(12):
        html = client.get("/projects/support-replies/tasks/?state=open").content.decode()
    assert html.count('class="row-link"') == 50
    oldest = Task.objects.order_by("-pk")[49].pk
    second = client.get(f"/projects/support-replies/tasks/?after={oldest}").content.decode()
    assert second.count('class="row-link"') == 10
    assert "No task matches" in client.get("/projects/support-replies/tasks/?state=settled").content.decode()


@pytest.mark.parametrize(("markdown", "shown"), [
    ("<script>alert(1)</script>", "&lt;script&gt;"), ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
    ("![map](https://example.org/p.png)", '<a href="https://example.org/p.png" target="_blank" rel="noopener noreferrer">map</a>'),
    ('![a](https://example.org/"onload="x)', "href="), ("# Title", "<h3>Title</h3>"), ("`<h1>`", "<code>&lt;h1&gt;</code>"),
    ("|a|\n|-|\n|<b>|", "<td>&lt;b&gt;</td>"),
])
def test_guidelines_are_harmless_html(markdown, shown):
    html = guidelines_html(markdown)
    assert shown in html
    for tag in ("<script", "<img", "<b>", "<h1", "onload=\"x", 'href="javascript'):
        assert tag not in html


@pytest.mark.parametrize(("written", "levels"), [
    ("1 2 3", "3 4 5"), ("2 3 2", "3 4 3"), ("3 4", "3 4"), ("1 4 2 6", "3 4 4 5"), ("2 1", "3 3"), ("1 2 3 4 5 6", "3 4 5 6 6 6"),
])
def test_headings_of_guidelines_stand_one_below_the_other_whatever_was_written(written, levels):
    text = "\n\n".join(f"{'#' * int(level)} Title" for level in written.split())
    assert re.findall(r"<h(\d)>Title</h\1>", guidelines_html(text)) == levels.split()


@pytest.mark.sweep
@pytest.mark.parametrize("piece", ["[", "![", "*a ", "`a", "> ", "<a ", "**a*", "[a](", "&amp;", "[a]: u\n[a]"])
@pytest.mark.timeout(60)
def test_hostile_guidelines_are_done_in_no_time(piece):
    assert "<script" not in guidelines_html((piece * 50_000)[:50_000])
