"""The champion's suggestions: onto tasks without an annotation, once, and what annotators did with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation import services as annotation
from annotation.domain.labels import result_build
from annotation.label_config import label_config_of
from annotation.models import Membership, Project, Suggestion, Task
from flywheel.audit.ledger import ledger_verify
from flywheel.capture.models import Example
from flywheel.core.errors import Conflict, Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.dashboard.selectors import wheel_now
from flywheel.runs import domain, selectors, services
from flywheel.runs.models import Budget, ModelVersion, SuggestionBatch
from flywheel.runs.services.leases import LeaseLost, TokenRefused
from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import answer, upload

pytestmark = pytest.mark.django_db
Trained = Callable[..., ModelVersion]


def test_open_tasks_get_the_champions_suggestion_once(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    tasks = builders.tasks(champion.project, builders.source(lead), 3)
    Task.objects.filter(pk=tasks[0].pk).update(submitted_count=1, slots_taken=1, available=False)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    done = answer(batch, messages)
    assert (done.status, done.total, done.done) == ("done", 2, 2)
    made = Suggestion.objects.filter(origin_name=champion.name)
    assert set(made.values_list("example_id", flat=True)) == {tasks[1].example_id, tasks[2].example_id}
    assert Budget.objects.get().reserved == 0
    assert services.suggestions_publish(model=champion, by=admin) is None


def test_two_clicks_make_one_batch(champion: ModelVersion, admin: User, lead: User) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    first = services.suggestions_publish(model=champion, by=admin)
    assert services.suggestions_publish(model=champion, by=admin) == first


def test_tasks_that_come_later_get_theirs_by_themselves(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    source = builders.source(lead)
    builders.tasks(champion.project, source, 3)
    assert services.suggestions_continue() == 0, "no one asked to publish yet"
    first = services.suggestions_publish(model=champion, by=admin, limit=2)
    assert first is not None
    assert first.total == 2
    assert services.suggestions_continue() == 0, "one batch at a time"
    answer(first, messages)
    assert services.suggestions_continue() == 1
    second = SuggestionBatch.objects.latest("pk")
    assert (second.total, second.after_task_id) == (1, first.last_task_id)
    answer(second, messages)
    assert services.suggestions_continue() == 0
    builders.tasks(champion.project, source, 1)
    assert services.suggestions_continue() == 1


def test_a_conversation_that_ends_in_the_agents_turn_is_not_asked_about(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    example = builders.example(builders.source(lead), context_length=2)
    Task.objects.create(project=champion.project, example=example)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    jobs_drain()
    batch.refresh_from_db()
    assert (batch.status, batch.total) == ("done", 0)
    assert all(m["kind"] == "run" for m in messages.sent)


def test_an_example_withdrawn_meanwhile_gets_no_suggestion(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    tasks = builders.tasks(champion.project, builders.source(lead), 2)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    messages.token_of(batch)
    Example.objects.filter(pk=tasks[0].example_id).update(status="withdrawn")
    answer(batch, messages)
    assert Suggestion.objects.filter(origin_name=champion.name).count() == 1


def test_what_a_retired_model_answers_is_not_shown(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    ModelVersion.objects.update(status="retired")
    assert answer(batch, messages).status == "cancelled"
    assert Suggestion.objects.count() == 0


def test_only_the_champion_suggests_and_only_admins_and_leads_ask(
    model: ModelVersion, admin: User, annotator: User, stranger: User
) -> None:
    with pytest.raises(Conflict, match="only the champion"):
        services.suggestions_publish(model=model, by=admin)
    for person in (annotator, stranger):
        with pytest.raises(Forbidden):
            services.suggestions_publish(model=model, by=person)


def test_a_used_up_budget_publishes_nothing(champion: ModelVersion, admin: User, lead: User) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    builders.budget(admin, cap="0")
    with pytest.raises(Conflict, match="are left"):
        services.suggestions_publish(model=champion, by=admin)
    assert SuggestionBatch.objects.count() == 0


# -- only onto tasks without an annotation, and once -----------------------------------------------------------------
def leased(batch: SuggestionBatch, messages: Messages) -> str:
    token = messages.token_of(batch)
    services.job_lease(job=batch, token=token, worker="box")
    batch.refresh_from_db()
    return token


def told(batch: SuggestionBatch, token: str, *lines: Any) -> SuggestionBatch:
    body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    upload(batch, token, "suggestions.jsonl", body.encode())
    return services.suggestions_complete(batch=batch, token=token)


def published(champion: ModelVersion, admin: User) -> SuggestionBatch:
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    return batch


def test_a_task_that_was_annotated_while_the_model_answered_gets_none(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    first, second = builders.tasks(champion.project, builders.source(lead), 2)
    batch = published(champion, admin)
    token = leased(batch, messages)
    Task.objects.filter(pk=first.pk).update(submitted_count=1, slots_taken=1, available=False)
    told(batch, token, *({"id": str(t.example_id), "text": "Hello"} for t in (first, second)))
    assert list(Suggestion.objects.values_list("example_id", flat=True)) == [second.example_id]


def test_an_answer_that_is_told_twice_is_one_suggestion(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    (task,) = builders.tasks(champion.project, builders.source(lead), 1)
    batch = published(champion, admin)
    token = leased(batch, messages)
    twice = [{"id": str(task.example_id), "text": text} for text in ("First", "Second")]
    assert told(batch, token, *twice).status == "done"
    assert services.suggestions_complete(batch=batch, token=token).status == "done"
    assert Suggestion.objects.count() == 1
    assert Budget.objects.get().reserved == 0


@pytest.mark.parametrize(("line", "why"), [
    ({"id": "999999", "text": "x"}, "was not asked"), ({"id": None, "text": "x"}, "was not asked"),
    ("no json", "not an object"), ("[1]", "not an object"), ({"id": "1"}, "not an object"), ("{" * 20000, "not an object"),
])
def test_lines_that_answer_no_prompt_are_refused_with_their_number(
    champion: ModelVersion, admin: User, lead: User, messages: Messages, line: Any, why: str
) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    batch = published(champion, admin)
    token = leased(batch, messages)
    with pytest.raises(ValidationFailed, match=f"line 1 .*{why}"):
        told(batch, token, line)
    assert Suggestion.objects.count() == 0


@pytest.mark.parametrize(("text", "kept"), [
    ("a\x00b", "ab"), ("\ud83d", "?"), ("  ", None), ("\u202eevil", "\u202eevil"), ("x" * 30_000, "x" * 20_000),
    ("<script>alert(1)</script>", "<script>alert(1)</script>"),
])
def test_hostile_replies_are_stored_as_plain_text_or_left_out(
    champion: ModelVersion, admin: User, lead: User, messages: Messages, text: str, kept: str | None
) -> None:
    (task,) = builders.tasks(champion.project, builders.source(lead), 1)
    batch = published(champion, admin)
    token = leased(batch, messages)
    told(batch, token, {"id": str(task.example_id), "text": text})
    assert list(Suggestion.objects.values_list("text", flat=True)) == ([] if kept is None else [kept])


# -- another champion in between -------------------------------------------------------------------------------------
def test_another_champion_ends_the_batches_of_the_one_before(
    champion: ModelVersion, trained: Trained, admin: User, lead: User, messages: Messages
) -> None:
    builders.tasks(champion.project, builders.source(lead), 2)
    batch = published(champion, admin)
    token = leased(batch, messages)
    second = trained(builders.requested(lead, of=champion.run.snapshot, where=champion.project))
    services.model_promote(model=second, by=admin)
    assert services.job_heartbeat(job=batch, token=token)["cancel"]
    batch.refresh_from_db()
    assert "champion now" in batch.error
    services.job_fail(job=batch, token=token, error="cancelled")
    batch.refresh_from_db()
    assert batch.status == "cancelled"
    assert Suggestion.objects.count() == 0
    newer = published(ModelVersion.objects.get(pk=second.pk), admin)
    assert newer.total == 2, "the new champion starts from the first open task"
    assert ledger_verify().ok


def test_a_batch_that_waited_is_cancelled_at_once_and_its_money_is_back(
    champion: ModelVersion, trained: Trained, admin: User, lead: User, messages: Messages
) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    batch = published(champion, admin)
    token = messages.token_of(batch)
    second = trained(builders.requested(lead, of=champion.run.snapshot, where=champion.project))
    services.model_promote(model=second, by=admin)
    batch.refresh_from_db()
    assert (batch.status, Budget.objects.get().reserved) == ("cancelled", 0)
    with pytest.raises((LeaseLost, TokenRefused)):
        services.job_lease(job=batch, token=token, worker="box")


# -- what annotators did with them -----------------------------------------------------------------------------------
SAID = "We will send the parcel again tomorrow."
REPLIES = {
    # reply -> (use, Levenshtein distance by character over the longer text)
    SAID: ("accepted", 0.0),
    SAID.replace("tomorrow", "on Monday"): ("edited", 8 / 40),
    "Q": ("replaced", 1.0),
}


@pytest.fixture
def workshop(lead: User, annotator: User, project: Project) -> Project:
    """The project with real controls, so that answers are really submitted."""
    from annotation.label_config import DEFAULT, label_config_parse

    Project.objects.filter(pk=project.pk).update(
        label_config=DEFAULT, label_schema=label_config_parse(DEFAULT).to_json()
    )
    annotation.membership_set(project=project, user=annotator, role=Membership.Role.ANNOTATOR)
    return Project.objects.get(pk=project.pk)


def submitted(project: Project, annotator: User, reply: str) -> None:
    taken = annotation.task_next(project=project, user=annotator)
    assert taken is not None
    shown = taken.task.example.suggestions.get(origin="model")
    annotation.annotation_submit(
        assignment_id=taken.pk, user=annotator, suggestion_id=shown.pk,
        result=result_build(label_config_of(project), {"reply": reply, "quality": "good"}),
    )


@pytest.mark.sweep
def test_each_generation_is_measured_by_what_became_of_its_suggestions(
    workshop: Project, champion: ModelVersion, trained: Trained, admin: User, lead: User, annotator: User,
    messages: Messages, client_of: Callable[[User], Client], django_assert_max_num_queries: Any,
) -> None:
    given = {1: [SAID, SAID, *list(REPLIES)[1:]], 2: [SAID, "Q"]}
    model = champion
    for generation, replies in given.items():
        builders.tasks(workshop, builders.source(lead), len(replies))
        answer(published(model, admin), messages, SAID)
        for reply in replies:
            submitted(workshop, annotator, reply)
        if generation == 1:
            model = services.model_promote(
                model=trained(builders.requested(lead, of=champion.run.snapshot, where=workshop)), by=admin
            )
    stats_refresh(due_only=False)
    counted = selectors.acceptances_of(ModelVersion.objects.all())
    shown_on_wheel = {row.generation: row.acceptance for row in wheel_now().generations if row.generation}
    for made in ModelVersion.objects.all():
        uses = [REPLIES[reply] for reply in given[made.generation]]
        mine, drawn = counted[made.pk], shown_on_wheel[made.generation]
        for found in (mine, drawn):
            assert found.shown == len(uses)
            for use in ("accepted", "edited", "replaced"):
                assert getattr(found, use) == [u for u, _ in uses].count(use)
        assert mine.rate == drawn.rate == [u for u, _ in uses].count("accepted") / len(uses)
        assert mine.distance == drawn.distance == pytest.approx(sum(d for _, d in uses) / len(uses))
    page = client_of(lead).get("/models/").content.decode()
    assert "50 %" in page or "50%" in page
    client = client_of(lead)
    client.get("/models/")
    with django_assert_max_num_queries(11):
        client.get("/models/")


@pytest.mark.parametrize("slug", ["support", "a" * 100, "a" * 55, "a" * 56])
def test_names_of_generations_are_told_apart_wherever_they_are_counted(slug: str) -> None:
    names = {domain.model_name(slug, project, generation) for project in (1, 2**31) for generation in (1, 10**6)}
    assert len({f"origin:{name}"[:80] for name in names}) == (4 if len(slug) > 55 else 2)
    assert all(len(f"origin:{name}") <= 80 for name in names)
