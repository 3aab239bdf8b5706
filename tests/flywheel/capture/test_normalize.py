"""Captures into examples: the same end whatever the order, redacted, grouped, never lost, never twice."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from flywheel.audit import ledger as ledger_entries
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.capture import services, tasks
from flywheel.capture.domain.conversation import target_text
from flywheel.capture.models import Capture, Example
from flywheel.capture.services import normalize
from flywheel.core.errors import Conflict
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from provenance.models import ProvenanceRecord, Subject
from provenance.services import records
from tests.flywheel.capture.conftest import call, deliver, ticket

pytestmark = pytest.mark.django_db

LAMP = "My lamp went dark after two days and the switch does nothing, please tell me how to return it to your shop."


def state():
    """Everything that must not depend on the order of deliveries."""
    return {
        e.uid: (
            e.conversation,
            e.redacted,
            e.pii,
            e.context_length,
            e.label,
            e.text_sha256,
            e.group_key,
            e.occurred_at,
            e.duplicate_of.uid if e.duplicate_of else None,
            e.capture.version,
            target_text(e.redacted, e.context_length),
            e.provenance.content_sha256,
            sorted(s.external_ref for s in e.provenance.subjects.all()),
        )
        for e in Example.objects.select_related("duplicate_of", "capture", "provenance")
    }


def test_a_ticket_becomes_an_example(source):
    deliver(
        source,
        ticket(
            "T-1",
            "I am Cora Customer at cora@example.com",
            "Dear Cora Customer, done.",
            subject="From cora@example.com",
            label="returns",
            tags=["a"],
            language="en",
        ),
    )
    example = Example.objects.get()
    assert example.conversation[0]["text"] == "I am Cora Customer at cora@example.com"
    assert [m["text"] for m in example.redacted] == ["I am <PERSON_1> at <EMAIL_1>", "Dear <PERSON_1>, done."]
    assert [m["author"] for m in example.redacted] == ["<PERSON_1>", "<PERSON_2>"]
    assert example.redacted_subject_line == "From <EMAIL_1>"
    assert {(p["message"], p["type"], p["placeholder"]) for p in example.pii} == {
        (-1, "EMAIL", "<EMAIL_1>"),
        (0, "PERSON", "<PERSON_1>"),
        (0, "EMAIL", "<EMAIL_1>"),
        (1, "PERSON", "<PERSON_1>"),
    }
    assert (example.label, example.tags, example.language, example.context_length) == ("returns", ["a"], "en", 1)
    assert example.group_key == example.uid.hex
    assert target_text(example.redacted, example.context_length) == "Dear <PERSON_1>, done."
    assert Capture.objects.get().status == "processed"


def test_its_provenance_is_recorded_with_the_sources_terms(make_source):
    source = make_source(
        license_spdx="CC0-1.0",
        purposes=["sft"],
        prohibited_purposes=["evaluation"],
        region="UK",
        retention_days=30,
        subject_namespace="people",
    )
    deliver(source, ticket("T-1", "I am at cora@example.com"), ticket("T-2", "Hello there", purposes=["preference"]))
    record = ProvenanceRecord.objects.get(source_record_id="T-1")
    assert (record.license_spdx, record.intended_purposes, record.prohibited_purposes) == (
        "CC0-1.0",
        ["sft"],
        ["evaluation"],
    )
    assert (record.storage_allowed, record.personal_data, record.classification) == (["UK"], "redacted", ["pii"])
    assert record.retention_until.isoformat() == "2025-03-31T09:00:00+00:00"
    assert record.content_sha256 == Capture.objects.get(external_id="T-1").payload_sha256
    assert [str(s) for s in record.subjects.all()] == ["people/Cora Customer"]
    assert ProvenanceRecord.objects.get(source_record_id="T-2").intended_purposes == ["preference"]


def test_a_call_becomes_an_example_too(source):
    deliver(source, call())
    example = Example.objects.get()
    assert (example.kind, len(example.redacted), example.context_length) == ("call", 3, 2)


def test_a_conversation_that_ends_with_the_customer_has_no_reply(source):
    deliver(source, ticket("T-1", "Hello?"))
    example = Example.objects.get()
    assert (example.context_length, target_text(example.redacted, example.context_length)) == (1, "")


def test_a_newer_version_changes_the_example_and_an_older_one_does_not(source):
    deliver(source, ticket("T-1", "Question", "New answer", version="2"))
    deliver(source, ticket("T-1", "Question", "Old answer", version="1"))
    assert Example.objects.get().redacted[1]["text"] == "New answer"
    deliver(source, ticket("T-1", "Question", "Newest answer", "But wait", version="3"))
    assert Example.objects.get().context_length == 3
    deliver(source, ticket("T-1", "Question", "Last answer", version="4"))
    assert Example.objects.get().redacted[1]["text"] == "Last answer"


def test_the_raw_payload_is_kept_as_it_came(source):
    payload = ticket("T-1", "<b>Hi</b>\u0000 \U0001f600", extra={"a": [1.5, None, "ü"]})
    deliver(source, payload)
    assert json.loads(Capture.objects.get().payload) == payload


DELIVERIES = [
    ticket("A", LAMP, "We are sorry.", version="1"),
    ticket("A", LAMP + " Thanks.", "We are very sorry.", version="2"),
    ticket("B", LAMP.replace("lamp", "new lamp"), "We are sorry."),
    ticket("C", LAMP.upper(), "We are sorry.", version="1"),
    ticket("C", "My kettle arrived without a lid, and I would like to have one sent to me by next week.", version="2"),
    ticket("D", "My kettle arrived without a lid and I would like to have one sent to me by next week"),
    ticket("E", "Where is my parcel?", "On its way."),
    ticket("E", "Where is my parcel?", "On its way.", "Thank you"),
    call("F"),
    ticket("G", "<p></p>"),
]


def test_any_order_and_repetition_of_deliveries_ends_in_the_same_state(source):
    def delivered(rows, step):
        point = transaction.savepoint()
        for start in range(0, len(rows), step):
            deliver(source, *rows[start : start + step])
        found = state()
        transaction.savepoint_rollback(point)
        return found

    expected = delivered(DELIVERIES, len(DELIVERIES))
    assert len(expected) == 6

    @settings(max_examples=settings().max_examples // 4)
    @given(
        st.permutations(range(len(DELIVERIES))),
        st.lists(st.integers(0, len(DELIVERIES) - 1), max_size=4),
        st.integers(1, 5),
    )
    def any_order(order, again, step):
        assert delivered([DELIVERIES[i] for i in [*order, *again]], step) == expected

    any_order()


def test_what_cannot_be_normalised_is_kept_with_its_reason_and_can_be_replayed(source, admin, monkeypatch):
    assert deliver(source, ticket("T-1", "<p></p>"), ticket("T-2")) == ["captured", "captured"]
    dead = Capture.objects.get(external_id="T-1")
    assert (dead.status, dead.error) == ("dead", "no message has any text once markup and control characters are gone")
    assert Example.objects.count() == 1
    services.capture_replay(capture=dead, by=admin)
    monkeypatch.setattr("flywheel.capture.domain.conversation.clean_text", lambda text: text)
    jobs_drain()
    dead.refresh_from_db()
    assert (dead.status, dead.error) == ("processed", "")
    assert Example.objects.count() == 2
    with pytest.raises(Conflict):
        services.capture_replay(capture=dead, by=admin)


def test_a_text_that_breaks_the_detector_is_the_only_dead_letter(source):
    class Choking:
        def find(self, conversations, *, names, things):
            if any("boom" in text for texts in conversations for text in texts):
                raise RuntimeError("choked")
            return [[[] for _ in texts] for texts in conversations]

    list(services.capture_bulk(source=source, lines=[ticket("T-1", "boom"), ticket("T-2"), ticket("T-3")], by=None))
    assert services.process_captures(detector=Choking()) == 3
    assert Capture.objects.get(status="dead").error == "RuntimeError: choked"
    assert Example.objects.count() == 2


def test_a_row_that_the_database_refuses_dies_alone(source, monkeypatch):
    create = normalize._examples_save

    def refuse(drafts, held, records):
        if any(d.capture.external_id == "T-1" for d in drafts):
            raise IntegrityError("no")
        return create(drafts, held, records)

    monkeypatch.setattr(normalize, "_examples_save", refuse)
    deliver(source, ticket("T-1"), ticket("T-2"), ticket("T-3"))
    assert Capture.objects.get(status="dead").external_id == "T-1"
    assert Example.objects.count() == 2


def test_killed_in_the_middle_nothing_is_lost_and_nothing_twice(source, monkeypatch):
    list(services.capture_bulk(source=source, lines=[ticket(f"T-{n}", f"{LAMP} {n}") for n in range(5)], by=None))

    class Killed(BaseException):
        pass

    def kill(*args, **kwargs):
        raise Killed

    for step in ("records_storing", "_examples_save", "examples_regroup", "ledger_append"):
        with monkeypatch.context() as patch:
            patch.setattr(normalize, step, kill)
            with pytest.raises(Killed), transaction.atomic():
                services.process_captures()
        assert not Example.objects.exists()
        assert Capture.objects.filter(status="received").count() == 5
    assert services.process_captures() == 5
    assert services.process_captures() == 0
    assert Example.objects.count() == ProvenanceRecord.objects.count() == 5
    assert ledger_verify().ok


def test_deliveries_ask_for_work_once_and_the_job_asks_again_while_captures_wait(source, monkeypatch):
    monkeypatch.setattr(normalize, "BATCH", 2)
    list(services.capture_bulk(source=source, lines=[ticket(f"T-{n}") for n in range(5)], by=None))
    list(services.capture_bulk(source=source, lines=[ticket("T-9")], by=None))
    assert Job.objects.filter(kind="capture.process").count() == 1
    jobs_drain()
    assert not Capture.objects.filter(status="received").exists()
    assert not Job.objects.filter(kind="capture.process", finished_at=None).exists()


def test_the_sweep_finds_captures_whose_message_was_lost(source):
    list(services.capture_bulk(source=source, lines=[ticket()], by=None))
    Job.objects.all().delete()
    tasks.sweep()
    jobs_drain()
    assert Example.objects.count() == 1
    assert services.captures_sweep() is False


def test_an_erased_example_stays_erased(source):
    deliver(source, ticket("T-1", "Question", version="1"))
    Example.objects.update(status="erased", redacted=[], conversation=[])
    deliver(source, ticket("T-1", "Question again", version="2"))
    assert Example.objects.get().conversation == []


def test_a_batch_asks_the_database_as_often_for_many_captures_as_for_few(source, django_assert_max_num_queries):
    list(
        services.capture_bulk(
            source=source, lines=[ticket(f"T-{n}", f"Text {n * 7919} {'abc' * n}") for n in range(150)], by=None
        )
    )
    with django_assert_max_num_queries(140):
        services.process_captures()
    assert Example.objects.count() == 150


def test_one_ledger_entry_tells_of_a_chunk_and_one_of_a_batch(source):
    list(services.capture_bulk(source=source, lines=[ticket(f"T-{n}") for n in range(20)], by=source.owner))
    services.process_captures()
    by_action = defaultdict(list)
    for entry in LedgerEntry.objects.all():
        by_action[entry.action].append(entry)
    assert len(by_action["capture.receive"]) == len(by_action["capture.process"]) == 1
    assert len(by_action["capture.receive"][0].payload["captures"]) == 20
    assert by_action["capture.receive"][0].actor == f"user:{source.owner.pk}"


def test_a_customer_in_two_conversations_is_one_subject(source):
    deliver(source, ticket("T-1"), ticket("T-2"))
    assert Subject.objects.count() == 1


def test_the_database_refuses_to_change_what_was_delivered_and_lets_it_be_emptied(source):
    deliver(source, ticket())
    for change in ({"payload": "{}"}, {"payload_sha256": "0" * 64}):
        with pytest.raises(IntegrityError, match="immutable"), transaction.atomic():
            Capture.objects.update(**change)
    Capture.objects.update(payload="", status="processed")
    assert Capture.objects.get().payload == ""


def test_the_ledger_is_locked_only_when_the_slow_work_is_done(source, monkeypatch):
    order = []
    regroup, append = normalize.examples_regroup, ledger_entries.ledger_append
    monkeypatch.setattr(normalize, "examples_regroup", lambda **rest: order.append("group") or regroup(**rest))
    for module in (normalize, records):
        monkeypatch.setattr(module, "ledger_append", lambda **rest: order.append(rest["action"]) or append(**rest))
    deliver(source, ticket())
    assert order == ["group", "provenance.record", "capture.process"]


@pytest.mark.parametrize("author", ["cora@example.com", "+44 7700 900123", "jana kovac", "user 88127", "王小明"])
def test_an_author_is_replaced_unless_it_only_names_a_role(source, author):
    row = ticket("T-1", "I wait.", "We look.", "Thanks")
    row["messages"][0]["author"] = row["messages"][2]["author"] = author
    row["messages"][1]["author"] = "Support 2"
    deliver(source, row)
    example = Example.objects.get()
    assert [m["author"] for m in example.redacted] == ["<PERSON_1>", "Support 2", "<PERSON_1>"]
    assert example.conversation[0]["author"] == author
    assert example.provenance.personal_data == "redacted"


def test_label_and_tags_carry_no_personal_data(source):
    deliver(source, ticket(
        "T-1", "I am Cora Customer at cora@example.com", label="for cora@example.com",
        tags=["Iced Latte", "escalated by Cora Customer", "London", "ann@example.com"],
    ))
    example = Example.objects.get()
    assert example.label == "for <EMAIL_1>"
    assert example.tags == ["Iced Latte", "escalated by <PERSON_1>", "London", "<EMAIL_2>"]
    assert "label and tags redacted" in example.provenance.privacy_enhancing[0]["result"]
