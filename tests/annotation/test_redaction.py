"""Answers are searched for personal data after they are given, by the policy of captured text, and leave redacted."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import selectors, services, tasks
from annotation.domain.redaction import redacted, written
from annotation.models import Annotation, Task
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.capture.models import Capture, Example
from flywheel.core.errors import Forbidden, NotFound, ValidationFailed
from flywheel.datasets.selectors import settled_chunks
from flywheel.privacy.detector import PiiSpan
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from tests.annotation.conftest import make_examples
from tests.annotation.test_services import submit

pytestmark = pytest.mark.django_db


class Finder:
    """Finds e-mail addresses and the names it is told, as a detector does; remembers what it was asked."""

    def __init__(self):
        self.asked = []

    def find(self, conversations, *, names, things):
        self.asked.append((conversations, names, things))
        return [[self._spans(text, known) for text in texts]
                for texts, known in zip(conversations, names, strict=True)]

    def _spans(self, text, known):
        if "CHOKE" in text:
            raise ValueError("cannot read this")
        spans = [PiiSpan(m.start(), m.end(), "EMAIL", 1.0) for m in re.finditer(r"[\w.]+@[\w.]+\w", text)]
        for name in known:
            spans += [PiiSpan(m.start(), m.end(), "PERSON", 1.0) for m in re.finditer(re.escape(name), text)]
        return sorted(spans, key=lambda span: span.start)


@pytest.fixture
def finder(monkeypatch):
    made = Finder()
    monkeypatch.setattr("annotation.services.redaction.default_detector", lambda: made)
    return made


def reply(text, **extra):
    return [
        {"from_name": "reply", "to_name": "conversation", "type": "textarea", "value": {"text": [text]}},
        {"from_name": "quality", "to_name": "conversation", "type": "choices", "value": {"choices": ["good"]}},
    ]


def give(project, user, text):
    return submit(project, user, reply(text))


def shown(annotation):
    annotation.refresh_from_db()
    return written(redacted(annotation.result, annotation.pii))[0].text


# -- searching ---------------------------------------------------------------------------------------------------------
def test_a_submit_asks_for_the_search_and_does_not_wait_for_it(project, stock, annotator, finder):
    stock(1)
    given = give(project, annotator, "Write to ann@example.org")
    assert (given.searched_at, given.pii, finder.asked) == (None, [], [])
    assert Job.objects.get(kind="annotation.search").payload == {"annotation": given.pk}
    jobs_drain()
    assert shown(given) == "Write to <EMAIL_2>"
    assert given.result[0]["value"]["text"] == ["Write to ann@example.org"]
    entry = LedgerEntry.objects.get(action="annotation.search")
    assert entry.payload["searched"] == [{"annotation": given.pk, "found": ["EMAIL"]}]
    assert "ann@example.org" not in json.dumps(entry.payload)
    assert ledger_verify().ok


def test_a_value_keeps_the_placeholder_that_the_conversation_gave_it(project, source, annotator, finder):
    (example,) = make_examples(source, 1)
    said = [
        {"role": "customer", "author": "Priya Natarajan", "at": None, "text": "I am Priya, mail p@x.org or q@x.org"},
        {"role": "agent", "author": "Mara", "at": None, "text": "Hello"},
    ]
    seen = [
        said[0] | {"author": "<PERSON_1>", "text": "I am <PERSON_1>, mail <EMAIL_1> or <EMAIL_2>"},
        said[1] | {"author": "<PERSON_2>"},
    ]
    pii = [
        {"message": 0, "start": 5, "end": 10, "type": "PERSON", "score": 1, "placeholder": "<PERSON_1>"},
        {"message": 0, "start": 17, "end": 24, "type": "EMAIL", "score": 1, "placeholder": "<EMAIL_1>"},
        {"message": 0, "start": 28, "end": 35, "type": "EMAIL", "score": 1, "placeholder": "<EMAIL_2>"},
    ]
    Example.objects.filter(pk=example.pk).update(conversation=said, redacted=seen, pii=pii)
    services.tasks_make(project=project)
    given = give(project, annotator, "Dear Priya, Q@X.org is noted beside new@x.org. Yours, Mara <PHONE_4>")
    services.annotations_search(annotation_ids=[given.pk])
    assert shown(given) == "Dear <PERSON_1>, <EMAIL_2> is noted beside <EMAIL_3>. Yours, <PERSON_2> <PHONE_4>"


def test_the_detector_is_asked_with_the_conversation_its_people_and_the_products(project, source, annotator, finder):
    source.product_names = ["Nibble"]
    source.save()
    (example,) = make_examples(source, 1)
    payload = {"external_id": "1", "subject": "S", "customer": {"ref": "c1", "name": "Only In Payload"},
               "messages": [{"role": "customer", "author": "Customer", "text": "Hi"}]}
    example.capture = Capture.objects.create(source=source, external_id="1", version="1", kind="ticket",
                                             payload=json.dumps(payload), payload_sha256="0", order_key="1")
    example.save(update_fields=["capture"])
    services.tasks_make(project=project)
    given = give(project, annotator, "Only In Payload asked about the Nibble")
    services.annotations_search(annotation_ids=[given.pk])
    ((texts,), (names,), (things,)) = finder.asked[0]
    assert texts[-1] == "Only In Payload asked about the Nibble"
    assert (texts[1], names, things) == (example.conversation[0]["text"], ["Only In Payload"], ["Nibble"])
    assert shown(given).startswith("<PERSON_1> asked")


def test_searching_again_changes_nothing(project, stock, annotator, finder):
    stock(1)
    given = give(project, annotator, "Write to ann@example.org")
    assert services.annotations_search(annotation_ids=[given.pk]) == 1
    services.annotations_search(annotation_ids=[given.pk, 10**9])
    jobs_drain()
    assert len(finder.asked) == 1
    assert LedgerEntry.objects.filter(action="annotation.search").count() == 1


def test_what_the_detector_cannot_read_keeps_nobody_else_waiting(project, stock, annotator, finder):
    stock(2)
    bad, good = give(project, annotator, "CHOKE"), give(project, annotator, "a@b.de")
    with pytest.raises(ValueError, match="cannot read"):
        services.annotations_search(annotation_ids=[bad.pk, good.pk])
    assert shown(good) == "<EMAIL_2>"
    bad.refresh_from_db()
    assert bad.searched_at is None


def test_an_answer_without_free_text_needs_no_search(project, lead, source, annotator, finder):
    config = ('<View><Text name="t" value="$text"/><Choices name="c" toName="t"><Choice value="A"/></Choices></View>')
    made = services.project_create(by=lead, name="Labels", label_config=config, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    make_examples(source, 1)
    services.tasks_make(project=made)
    given = submit(made, annotator, [{"from_name": "c", "value": {"choices": ["A"]}}])
    assert given.searched_at is not None
    assert not Job.objects.filter(kind="annotation.search").exists()


def test_a_reviewers_fix_is_searched_too(project, stock, annotator, reviewer, finder):
    stock(1)
    given = give(project, annotator, "Hello")
    review = services.review_settle(
        annotation_id=given.pk, reviewer=reviewer, decision="fix", fixed_result=reply("Mail me@x.org")
    )
    jobs_drain()
    assert shown(review.fixed_annotation) == "Mail <EMAIL_2>"


def test_the_sweep_asks_once_for_answers_that_nobody_asked_about(project, stock, annotator, finder):
    stock(2)
    old, new = give(project, annotator, "a@b.de"), give(project, annotator, "c@d.de")
    Job.objects.all().delete()
    Annotation.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert (tasks.sweep_search(), tasks.sweep_search()) == (1, 0)
    jobs_drain()
    assert shown(old) == "<EMAIL_2>"
    new.refresh_from_db()
    assert new.searched_at is None
    # One that died is not tried for ever.
    Annotation.objects.filter(pk=old.pk).update(searched_at=None)
    Job.objects.update(status="failed", failures=8)
    assert tasks.sweep_search() == 0


# -- what snapshots take -----------------------------------------------------------------------------------------------
def test_an_answer_that_was_not_searched_is_not_good_enough(project, stock, annotator, reviewer, finder):
    (task,) = stock(1)
    given = give(project, annotator, "Write to ann@example.org")
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    task.refresh_from_db()
    assert [reason.rule for reason in selectors.quality_reasons(task)] == ["reply_not_searched"]
    ((unsearched,),) = settled_chunks(project)
    assert not unsearched.searched
    assert list(services.project_search(project=project)) == [1]
    task = Task.objects.get(pk=task.pk)
    assert selectors.quality_reasons(task) == []
    ((searched,),) = settled_chunks(project)
    assert (searched.searched, searched.reply) == (True, "Write to <EMAIL_2>")


def test_the_project_is_searched_in_steps_and_passes_over_what_cannot_be_read(
    project, stock, annotator, reviewer, finder, monkeypatch
):
    monkeypatch.setattr("annotation.services.redaction.CHUNK", 2)
    stock(5)
    texts = ["a@b.de", "CHOKE", "c", "d", "e"]
    for text in texts:
        given = give(project, annotator, text)
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    assert sum(1 for _ in services.project_search(project=project)) == 3
    assert list(Annotation.objects.order_by("pk").values_list("searched_at", flat=True)).count(None) == 1
    (rows,) = settled_chunks(project)
    assert [row.searched for row in rows] == [True, False, True, True, True]


# -- judging -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def found(project, stock, annotator, finder):
    """An answer in review in which one address was found."""
    stock(1)
    given = give(project, annotator, "Write to info@mossbeck.example")
    services.annotations_search(annotation_ids=[given.pk])
    return given


def keep(annotation, by, keep=True, **change):
    place = {"control": "reply", "part": 0, "start": 9} | change
    return services.span_keep(annotation_id=annotation.pk, by=by, keep=keep, **place)


def test_a_reviewer_keeps_what_is_no_personal_data_and_takes_it_back(found, reviewer):
    keep(found, reviewer)
    keep(found, reviewer)
    assert shown(found) == "Write to info@mossbeck.example"
    assert LedgerEntry.objects.filter(action="annotation.keep").count() == 1
    keep(found, reviewer, keep=False)
    assert shown(found) == "Write to <EMAIL_2>"
    assert LedgerEntry.objects.get(action="annotation.redact").payload["type"] == "EMAIL"


def test_only_reviewers_and_leads_judge_and_never_their_own(found, project, annotator, stranger, admin, lead):
    for user, error in ((annotator, Forbidden), (stranger, NotFound), (admin, Forbidden)):
        with pytest.raises(error):
            keep(found, user)
    services.membership_set(project=project, user=annotator, role="reviewer", by=lead)
    with pytest.raises(Forbidden, match="wrote this yourself"):
        keep(found, annotator)
    with pytest.raises(NotFound):
        services.span_keep(annotation_id=10**9, by=lead, control="reply", part=0, start=9, keep=True)


@pytest.mark.parametrize("change", [{"control": "x"}, {"part": 1}, {"start": 8}, {"start": -1}])
def test_a_span_that_is_not_there_is_refused(found, reviewer, change):
    with pytest.raises(ValidationFailed, match="nothing was found"):
        keep(found, reviewer, **change)


def test_the_reviewer_sees_what_was_found_and_keeps_it_on_the_page(found, reviewer, lead, client_of):
    client, url = client_of(reviewer), f"/review/support-replies/{found.task_id}/"
    html = client.get(url).content.decode()
    assert '<mark class="found" title="Personal data: &lt;EMAIL_2&gt; in snapshots">info@mossbeck.example</mark>' in html
    assert "Keep as it is" in html
    body = {"control": "reply", "part": "0", "start": "9", "keep": "1"}
    span = f"/review/support-replies/answers/{found.pk}/span/"
    assert client.post(span, body)["Location"] == url
    assert "stays as it is" in client.get(url).content.decode()
    task = f"/projects/support-replies/tasks/{found.task_id}/"
    assert client_of(lead).post(span, body | {"keep": "0", "from": "task"})["Location"] == task
    assert "becomes" in client_of(lead).get(task).content.decode()
    refused = client.post(span, body | {"start": "x" * 30}, follow=True)
    assert "nothing was found" in refused.content.decode()


def test_a_stranger_learns_nothing_of_answers(found, stranger, annotator, admin, client_of, api_of):
    page, call = f"/review/support-replies/answers/{found.pk}/span/", f"/api/v1/annotations/{found.pk}/spans/"
    assert client_of(stranger).post(page).status_code == 404
    assert api_of(stranger).post(call, {"nonsense": 1}, format="json").status_code == 404
    for user in (annotator, admin):
        assert client_of(user).post(page).status_code == 403
        assert api_of(user).post(call, {"start": 9, "keep": True}, format="json").status_code == 403


def test_a_span_is_judged_over_rest(found, reviewer, api_of):
    url = f"/api/v1/annotations/{found.pk}/spans/"
    made = api_of(reviewer).post(url, {"control": "reply", "start": 9, "keep": True}, format="json")
    assert (made.status_code, made.json()["pii"][0]["kept"]) == (200, True)
    for body, field in (({}, "control"), ({"control": "reply", "start": 9}, "keep"),
                        ({"control": "reply", "start": "x", "keep": True}, "start"),
                        ({"control": "reply", "start": 3, "keep": True}, "start")):
        response = api_of(reviewer).post(url, body, format="json")
        assert (response.status_code, response.json()["error"]["field"]) == (400, field)


@pytest.mark.slow
def test_the_real_detector_finds_what_a_person_should_not_have_written(project, stock, annotator):
    stock(1)
    given = give(project, annotator, "Dear customer, call Siobhan O'Neill on +44 7700 900123 or mail s.oneill@example.org.")
    jobs_drain()
    text = shown(given)
    assert not re.search(r"Siobhan|Neill|7700|example", text)
    assert text.startswith("Dear customer, call <PERSON_")
    assert Task.objects.get().submitted_count == 1
