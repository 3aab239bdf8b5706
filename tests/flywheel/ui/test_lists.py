"""The one table of every list: search, facets, sort, columns, saved views, selection and paging."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.template import Context, Template, TemplateSyntaxError
from django.test import Client, RequestFactory

from annotation.models import Project, Task
from annotation.tables import PROJECTS, TASKS
from flywheel.accounts.tables import PEOPLE
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.audit.models import LedgerEntry
from flywheel.audit.tables import ENTRIES
from flywheel.capture import services
from flywheel.capture.models import Capture, Example
from flywheel.capture.tables import DELIVERIES, EXAMPLES, SOURCES
from flywheel.core.errors import NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.core.paging import keyset_page
from flywheel.datasets.tables import SNAPSHOTS
from flywheel.runs.tables import MODELS, RUNS
from flywheel.ui.models import SavedView
from flywheel.ui.saved_views import PER_LIST, view_delete, view_save
from flywheel.ui.tables import Column, Table
from provenance.models import Subject
from provenance.tables import SUBJECTS
from tests.conftest import TESTER, make_user
from tests.flywheel.capture.conftest import ticket
from tests.flywheel.dashboard.conftest import Turn, member, project, source, turn  # noqa: F401

LISTS: dict[str, Table[Any]] = {
    "/projects/": PROJECTS, "/projects/replies/tasks/": TASKS, "/examples/": EXAMPLES, "/deliveries/": DELIVERIES,
    "/sources/": SOURCES, "/snapshots/": SNAPSHOTS, "/runs/": RUNS, "/models/": MODELS, "/people/": PEOPLE,
    "/ledger/": ENTRIES, "/subjects/": SUBJECTS,
}

LARGE = {"/projects/replies/tasks/", "/examples/", "/deliveries/", "/ledger/", "/subjects/"}
"""Lists that grow with the data; the others hold what people make by hand."""

TYPED = {"action": "person."}
"""What one would type into facets that refuse what nothing could have."""

ClientOf = Callable[[User], Client]


@pytest.fixture
def owner(turn: Turn, django_user_model: Any) -> User:  # noqa: F811
    """A person with every role, in an installation that has turned once."""
    ledger_append(actor=TESTER, action=Action.TASK_MAKE, object="task:1")
    Subject.objects.create(namespace="acme", external_ref="c-1")
    return make_user("owner", "annotator", "reviewer", "lead", "steward", "admin")


def table_of(client: Client, address: str) -> Any:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.context["table"]


def test_every_list_takes_each_facet_sort_column_and_search(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    for path, table in LISTS.items():
        plain = table_of(client, path)
        assert plain.rows, f"{path} is empty, so its cells are not tried"
        every = "&".join(f"cols={column.key}" for column in table.columns)
        assert [c.key for c in table_of(client, f"{path}?{every}").shown] == [c.key for c in table.columns]
        for column in table.columns:
            if column.sort:
                for sort in (column.sort, f"-{column.sort}"):
                    assert sorted(row.pk for row in table_of(client, f"{path}?sort={sort}").rows) == sorted(
                        row.pk for row in plain.rows), f"{path} by {sort}"
        for facet in table.facets:
            for value, _ in facet.choices or [("acme", "")]:
                narrowed = table_of(client, f"{path}?{facet.key}={value}")
                assert narrowed.filtered
                assert {row.pk for row in narrowed.rows} <= {row.pk for row in plain.rows}
            assert not table_of(client, f"{path}?{facet.key}=no-such-value").rows or facet.key in ("duplicates", "active", "state")
        for view in table.views:
            table_of(client, f"{path}?{view.query}")
        if table.search:
            assert not table_of(client, f"{path}?q=no-such-thing").rows
        table_of(client, f"{path}?q=zz&sort=password&cols=nonsense&after=1.x&before=-1")


def test_a_list_asks_as_often_for_many_rows_as_for_few(
    owner: User, client_of: ClientOf, project: Project, source: Any, django_assert_max_num_queries: Any  # noqa: F811
) -> None:
    services_lines = [ticket(f"M-{n:03d}", f"text {n * 7919}") for n in range(45)]
    client = client_of(owner)
    counts = {}
    for path in LISTS:
        with django_assert_max_num_queries(30) as captured:
            client.get(path)
        counts[path] = len(captured.captured_queries)
    list(services.capture_bulk(source=source, lines=services_lines, by=owner))
    services.process_captures()
    for number in range(20):
        make_user(f"p{number}", "annotator")
    for path, count in counts.items():
        with django_assert_max_num_queries(count):
            client.get(path)


# -- paging by a sorted column -----------------------------------------------------------------------------------------
@pytest.fixture
def dated(source: Any, lead: User) -> list[Example]:  # noqa: F811
    """Examples of which a third has no date and several share one."""
    list(services.capture_bulk(source=source, lines=[ticket(f"D-{n:02d}", f"text {n * 7919}") for n in range(24)], by=lead))
    services.process_captures()
    for example in Example.objects.order_by("pk"):
        day = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC) + timedelta(days=example.pk % 4)
        Example.objects.filter(pk=example.pk).update(occurred_at=None if example.pk % 3 == 0 else day)
    return list(Example.objects.order_by("pk"))


def pages(field: str, *, newest_first: bool, back: bool = False) -> Iterator[list[int]]:
    params: dict[str, str] = {}
    while True:
        page = keyset_page(Example.objects.all(), params, per_page=5, newest_first=newest_first, field=field)
        yield [row.pk for row in page.rows]
        cursor = page.previous if back else page.next
        if not cursor:
            return
        params = {"before" if back else "after": cursor}


@pytest.mark.parametrize("newest_first", [True, False])
def test_a_sorted_list_is_walked_once_through_every_row(dated: list[Example], newest_first: bool) -> None:
    whole = [pk for page in pages("occurred_at", newest_first=newest_first) for pk in page]
    # Python's own sort is the oracle: a row without a date is smaller than every date.
    dates = {example.pk: example.occurred_at for example in dated}
    smallest = datetime.min.replace(tzinfo=UTC)
    assert whole == sorted(dates, key=lambda pk: (dates[pk] or smallest, pk), reverse=newest_first)


def test_back_leads_through_the_same_pages(dated: list[Example]) -> None:
    forward = list(pages("occurred_at", newest_first=True))
    last = keyset_page(Example.objects.all(), {}, per_page=5, newest_first=True, field="occurred_at")
    while last.next:
        last = keyset_page(Example.objects.all(), {"after": last.next}, per_page=5, field="occurred_at")
    walked = [[row.pk for row in last.rows]]
    while last.previous:
        last = keyset_page(Example.objects.all(), {"before": last.previous}, per_page=5, field="occurred_at")
        walked.append([row.pk for row in last.rows])
    # From the end every page is full, so that only the first may be short.
    assert [pk for page in reversed(walked) for pk in page] == [pk for page in forward for pk in page]


@pytest.mark.parametrize("cursor", ["x", "1.x", "1.2026-13-01", ".", "1.", "-1", "9" * 30])
def test_a_cursor_that_cannot_be_read_begins_the_list_anew(dated: list[Example], cursor: str) -> None:
    first = keyset_page(Example.objects.all(), {}, per_page=5, field="occurred_at")
    assert keyset_page(Example.objects.all(), {"after": cursor}, per_page=5, field="occurred_at").rows == first.rows


# -- addresses ---------------------------------------------------------------------------------------------------------
def test_every_choice_is_kept_in_the_address_and_can_be_taken_away(owner: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    table = table_of(client, "/examples/?q=T&status=active&kind=ticket&sort=-occurred_at&cols=label&cols=status&after=5")
    kept = {
        "q": ["T"], "status": ["active"], "kind": ["ticket"], "sort": ["-occurred_at"], "cols": ["label", "status"],
    }
    assert parse_qs(table.query) == kept
    chips = {label: (value, parse_qs(urlsplit(url).query)) for label, value, url in table.chips}
    assert chips["Status"] == ("Active", {key: value for key, value in kept.items() if key != "status"})
    assert chips["Search"][1] == {key: value for key, value in kept.items() if key != "q"}
    assert parse_qs(urlsplit(table.reset).query) == {"sort": kept["sort"], "cols": kept["cols"]}
    head = next(head for head in table.heads if head["column"].key == "conversation")
    assert head["url"] == ""
    assert "cols" not in table.without_columns


def test_the_column_that_is_sorted_by_says_so(owner: User, client_of: ClientOf) -> None:
    html = client_of(owner).get("/examples/?sort=occurred_at").content.decode()
    assert re.search(r'aria-sort="ascending"[^<]*<a href="/examples/\?sort=-occurred_at">Occurred', " ".join(html.split()))


def test_a_cell_is_escaped(owner: User, client_of: ClientOf, source: Any) -> None:  # noqa: F811
    services.capture_one(source=source, payload=ticket("<b>T</b>", "text", label="<i>x</i>"), by=owner)
    services.process_captures()
    html = client_of(owner).get("/examples/").content.decode()
    assert "&lt;b&gt;T&lt;/b&gt;" in html
    assert "<i>x" not in html


def test_a_template_must_write_every_column(rf: RequestFactory, owner: User) -> None:
    request = rf.get("/people/")
    request.user = owner
    table: Table[User] = Table(things="people", columns=(Column("a", "A", main=True), Column("b", "B")))
    code = Template("{% load tables %}{% table table as row %}{% cell 'a' %}x{% endcell %}{% endtable %}")
    with pytest.raises(TemplateSyntaxError, match=r"columns without cells \['b'\]"):
        code.render(Context({"table": table.page(request, User.objects.all()), "request": request}))


# -- saved views -------------------------------------------------------------------------------------------------------
def test_a_view_is_saved_found_on_its_list_and_deleted(owner: User, lead: User, client_of: ClientOf) -> None:
    client = client_of(owner)
    answer = client.post("/views/save/", {"path": "/examples/", "query": "status=active&after=12", "name": "  Mine "})
    assert answer["Location"] == "/examples/?status=active"
    html = client.get("/examples/").content.decode()
    assert '<a href="/examples/?status=active">Mine</a>' in html
    assert "Mine" not in client.get("/deliveries/").content.decode()
    assert "Mine" not in client_of(lead).get("/examples/").content.decode()
    view = SavedView.objects.get()
    assert client_of(lead).post(f"/views/{view.pk}/delete/").status_code == 404
    assert client.post(f"/views/{view.pk}/delete/")["Location"] == "/examples/"
    assert not SavedView.objects.exists()


def test_a_name_that_is_saved_again_moves_to_the_new_view(owner: User) -> None:
    for query in ("status=active", "status=erased"):
        view_save(user=owner, path="/examples/", query=query, name="Mine")
    assert [view.query for view in SavedView.objects.all()] == ["status=erased"]


@pytest.mark.parametrize(("path", "name"), [
    ("/nowhere/", "x"), ("https://elsewhere.example/examples/", "x"), ("//elsewhere.example/", "x"), ("", "x"),
    ("/examples/", "  "), ("/examples/", "x" * 61),
])
def test_a_view_needs_a_name_and_a_list_of_this_site(owner: User, client_of: ClientOf, path: str, name: str) -> None:
    with pytest.raises(ValidationFailed):
        view_save(user=owner, path=path, query="", name=name)
    answer = client_of(owner).post("/views/save/", {"path": path, "query": "", "name": name})
    assert answer["Location"] in ("/", "/examples/")


def test_saved_views_are_limited_and_private(owner: User, lead: User) -> None:
    for number in range(PER_LIST):
        view_save(user=owner, path="/examples/", query="", name=f"view {number}")
    with pytest.raises(ValidationFailed, match="delete one first"):
        view_save(user=owner, path="/examples/", query="", name="one more")
    view_save(user=owner, path="/examples/", query="kind=call", name="view 3")
    with pytest.raises(NotFound):
        view_delete(user=lead, pk=SavedView.objects.all()[0].pk)


# -- selection ---------------------------------------------------------------------------------------------------------
def test_selected_dead_letters_are_tried_again(owner: User, lead: User, client_of: ClientOf, source: Any) -> None:  # noqa: F811
    for name in ("X-1", "X-2", "X-3"):
        services.capture_one(source=source, payload=ticket(name, "<p></p>"), by=owner)
    services.process_captures()
    dead = list(Capture.objects.filter(status="dead").order_by("pk"))
    client = client_of(owner)
    html = client.get("/deliveries/").content.decode()
    assert html.count('aria-label="Select ') == 4, "three rows and the page"
    assert "Try again" not in client_of(lead).get("/deliveries/").content.decode()
    fine = Capture.objects.filter(status="processed")[0]
    keys = [dead[0].pk, dead[1].pk, fine.pk, "x", 999999]
    answer = client.post("/deliveries/replay/", {"pk": keys, "next": "/deliveries/?status=dead"}, follow=True)
    assert answer.redirect_chain == [("/deliveries/?status=dead", 302)]
    said = [str(message) for message in answer.context["messages"]]
    assert said[0] == "2 deliveries are tried again."
    assert len(said) == 2, "the processed delivery is refused with its reason"
    assert [capture.status for capture in Capture.objects.filter(pk__in=[c.pk for c in dead]).order_by("pk")] == [
        "received", "received", "dead"]
    assert client.post("/deliveries/replay/", {"next": "https://elsewhere.example/"})["Location"] == "/deliveries/"


# -- no list reads a whole table ---------------------------------------------------------------------------------------
@pytest.mark.postgres
def test_every_sort_and_facet_of_a_large_list_has_an_index(
    owner: User, client_of: ClientOf, django_assert_max_num_queries: Any
) -> None:
    client = client_of(owner)
    tables = "|".join(model._meta.db_table for model in (Task, Example, Capture, LedgerEntry, Subject))
    for path in sorted(LARGE):
        table = LISTS[path]
        queries = [f"sort={sign}{c.sort}" for c in table.columns if c.sort for sign in ("", "-")]
        queries += [f"{facet.key}={TYPED.get(facet.key) or (facet.choices or [('acme', '')])[0][0]}" for facet in table.facets]
        queries += ["q=1", "q=a:b"] if table.search else []
        for query in queries:
            with django_assert_max_num_queries(40) as captured:
                client.get(f"{path}?{query}")
            page = [q["sql"] for q in captured.captured_queries if re.search(rf'FROM "({tables})".*LIMIT', q["sql"])]
            assert page, f"{path}?{query} asks for no rows"
            for sql in page:
                plan = plan_of(sql)
                # Small tables are cheaper to read whole, so that is made impossible; what is left needs an index.
                found = re.findall(rf"Seq Scan on ({tables})", plan)
                assert not found, f"{path}?{query} reads all of {found}:\n{plan}"
                assert not re.search(r"^\s*->\s+Sort\b|^Sort\b|Limit.*\n\s+->\s+Sort\b", plan), f"{path}?{query} sorts:\n{plan}"


def plan_of(sql: str) -> str:
    with connection.cursor() as cursor:
        for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            cursor.execute(f"SET LOCAL {name} = off")
        cursor.execute(f"EXPLAIN {sql}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        for name in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            cursor.execute(f"SET LOCAL {name} = on")
    return plan
