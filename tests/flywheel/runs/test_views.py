"""Pages of runs, models, budgets and recipes: who may open them, and what they do."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from annotation.models import Membership
from flywheel.audit.models import LedgerEntry
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import (
    Budget,
    Device,
    Evaluation,
    ModelVersion,
    Recipe,
    RunEvent,
    SuggestionBatch,
    TrainingRun,
)
from flywheel.runs.templatetags.runs import duration, money
from tests.conftest import make_user
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload_model

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]
Trained = Callable[..., ModelVersion]


def addresses(run: TrainingRun) -> list[tuple[str, str, set[str]]]:
    """Every page with its method and the roles that may open it."""
    viewers, askers, admins = {"lead", "steward", "admin"}, {"lead", "admin"}, {"admin"}
    one = f"/runs/{run.uid}/"
    model = f"/models/{run.model.name}/"
    return [
        ("get", "/runs/", viewers), ("get", "/runs/new/", askers), ("get", "/runs/estimate/", askers),
        ("get", one, viewers), ("get", f"{one}live/", viewers), ("get", f"{one}curve.json", viewers),
        ("get", f"{one}files/result.json", viewers), ("post", f"{one}approve/", admins),
        ("post", f"{one}cancel/", askers), ("get", "/models/", viewers), ("get", model, viewers),
        ("get", f"{model}rows/", viewers), ("get", f"{model}model.zip", viewers), ("post", f"{model}promote/", admins),
        ("post", f"{model}publish/", askers), ("get", "/budgets/", admins), ("post", "/budgets/budget/", admins),
        ("get", "/recipes/", viewers), ("get", "/recipes/new/", admins),
    ]


def test_each_page_opens_for_its_roles_and_for_nobody_else(
    run: TrainingRun, trained: Trained, client_of: ClientOf, annotator: User, reviewer: User, lead: User,
    steward: User, admin: User, stranger: User,
) -> None:
    trained(run)
    run = TrainingRun.objects.get(pk=run.pk)
    people = {"annotator": annotator, "reviewer": reviewer, "lead": lead, "steward": steward, "admin": admin,
              "stranger": stranger}
    for method, path, roles in addresses(run):
        anonymous = getattr(Client(), method)(path)
        assert (anonymous.status_code, anonymous["Location"].split("?")[0]) == (302, "/accounts/login/"), path
        for role, person in people.items():
            answer = getattr(client_of(person), method)(path)
            if answer.streaming:
                b"".join(answer.streaming_content)
            if role in roles:
                assert answer.status_code in (200, 302, 422), (role, path, answer.status_code)
            else:
                assert answer.status_code == 403, (role, path, answer.status_code)


def test_a_lead_of_another_project_finds_nothing(run: TrainingRun, trained: Trained, client_of: ClientOf) -> None:
    model = trained(run)
    other = make_user("olga", "lead")
    where = builders.project("sales")
    Membership.objects.create(project=where, user=other, role=Membership.Role.LEAD)
    client = client_of(other)
    for path in (f"/runs/{run.uid}/", f"/runs/{run.uid}/live/", f"/runs/{run.uid}/curve.json",
                 f"/runs/{run.uid}/files/result.json", f"/models/{model.name}/", f"/models/{model.name}/rows/",
                 f"/models/{model.name}/model.zip"):
        assert client.get(path).status_code == 404, path
    assert client.post(f"/runs/{run.uid}/cancel/").status_code == 404
    assert run.name not in client.get("/runs/").content.decode()
    assert model.name not in client.get("/models/").content.decode()


def test_a_lead_requests_a_run_and_an_admin_approves_it(
    client_of: ClientOf, lead: User, admin: User, snapshot: Any, recipe: Recipe, device: Device, messages: Messages
) -> None:
    builders.budget(admin)
    form = {"snapshot": str(snapshot.uid), "recipe": recipe.pk, "device": device.pk, "name": "First", "max_steps": "3",
            "seed": "7"}
    answer = client_of(lead).post("/runs/new/", form)
    run = TrainingRun.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/runs/{run.uid}/")
    assert (run.name, run.spec["limits"]["max_steps"], run.spec["seed"]) == ("First", 3, 7)
    page = client_of(admin).get(f"/runs/{run.uid}/").content.decode()
    assert "Approve and queue" in page
    assert "Approve and queue" not in client_of(lead).get(f"/runs/{run.uid}/").content.decode()
    client_of(admin).post(f"/runs/{run.uid}/approve/")
    run.refresh_from_db()
    assert run.status == "queued"
    client_of(lead).post(f"/runs/{run.uid}/cancel/", {"reason": "a mistake"})
    run.refresh_from_db()
    assert (run.status, run.error) == ("cancelled", "a mistake")


def test_the_estimate_shows_range_budget_and_assumptions_before_anything_is_asked(
    client_of: ClientOf, lead: User, admin: User, snapshot: Any, recipe: Recipe, device: Device
) -> None:
    builders.budget(admin, cap="0.10")
    query = {"snapshot": str(snapshot.uid), "recipe": str(recipe.pk), "device": str(device.pk)}
    part = client_of(lead).get("/runs/estimate/", query, headers={"X-Requested-With": "fragment"}).content.decode()
    assert "<html" not in part
    for words in ("What it will take", "Not measured yet", "0.1000 EUR", "Not enough", "Assumptions"):
        assert words in part
    assert "<html" in client_of(lead).get("/runs/estimate/", query).content.decode()
    assert TrainingRun.objects.count() == 0


def test_a_refused_request_says_why_beside_the_form(
    client_of: ClientOf, lead: User, snapshot: Any, device: Device
) -> None:
    wrong = builders.recipe(method="continued_pretraining")
    answer = client_of(lead).post("/runs/new/", {"snapshot": str(snapshot.uid), "recipe": wrong.pk,
                                                 "device": device.pk})
    assert answer.status_code == 422
    assert "was cleared for purpose" in answer.content.decode()


def test_an_approval_that_the_budget_does_not_hold_says_so(client_of: ClientOf, run: TrainingRun, admin: User) -> None:
    builders.budget(admin, cap="0")
    page = client_of(admin).post(f"/runs/{run.uid}/approve/", follow=True).content.decode()
    assert "Not approved" in page
    assert "are left" in page


def test_the_curve_is_followed_from_where_the_page_is(
    client_of: ClientOf, leased: tuple[TrainingRun, str], admin: User
) -> None:
    run, token = leased
    events = [{"seq": n, "at": "2026-01-01T00:00:00+00:00", "kind": "metric", "data": {"step": n, "loss": 3 - n / 10}}
              for n in range(1, 6)]
    services.run_report(run=run, token=token, events=events)
    client = client_of(admin)
    told = client.get(f"/runs/{run.uid}/curve.json").json()
    assert [p["step"] for p in told["points"]] == [1, 2, 3, 4, 5]
    assert (told["seq"], told["ended"], told["more"]) == (5, False, False)
    assert client.get(f"/runs/{run.uid}/curve.json?since=5").json()["points"] == []
    assert len(client.get(f"/runs/{run.uid}/curve.json?since=x").json()["points"]) == 5
    live = client.get(f"/runs/{run.uid}/live/?status=running")
    assert "data-refresh=" in live.content.decode()
    assert "X-Reload" not in live.headers
    services.job_fail(job=run, token=token, error="over")
    assert client.get(f"/runs/{run.uid}/live/?status=running")["X-Reload"] == "true"


def test_a_finished_run_shows_estimate_beside_actual_samples_tokens_and_files(
    client_of: ClientOf, run: TrainingRun, trained: Trained, lead: User
) -> None:
    trained(run)
    page = client_of(lead).get(f"/runs/{run.uid}/").content.decode()
    for words in ("Estimate beside actual", "3.0000", "2.0000", "What people wrote", "Trained on, all epochs",
                  "model/adapter_model.safetensors", "support-g1"):
        assert words in page


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ([{"role": "user", "content": "Where is <b>it</b>?"}, {"role": "assistant", "content": "There."}],
         ["Where is &lt;b&gt;it&lt;/b&gt;?", "bubble-customer", "There.", "bubble-agent"]),
        ("Plain words", ["Plain words", "bubble-customer"]),
        ([7, None, {"role": "tool"}], ["Conversation 1"]),
        (None, ["Conversation 1"]),
    ],
)
def test_a_sample_is_shown_as_a_conversation_whatever_the_trainer_sent(
    prompt: Any, shown: list[str], client_of: ClientOf, run: TrainingRun, trained: Trained, lead: User
) -> None:
    trained(run)
    Evaluation.objects.filter(run=run).update(
        samples=[{"prompt": prompt, "reference": "a", "base_reply": None, "tuned_reply": "b"}, "no sample"]
    )
    for path in (f"/runs/{run.uid}/", "/models/support-g1/"):
        page = client_of(lead).get(path).content.decode()
        assert all(words in page for words in shown)
        assert "&#x27;role&#x27;" not in page


def test_what_a_reply_answers_is_in_sight_and_what_came_before_unfolds(
    client_of: ClientOf, run: TrainingRun, trained: Trained, lead: User
) -> None:
    trained(run)
    prompt = [{"role": "user", "content": f"Message {number}"} for number in range(1, 8)]
    Evaluation.objects.filter(run=run).update(samples=[{"prompt": prompt, "base_reply": "a", "tuned_reply": "b"}])
    page = client_of(lead).get(f"/runs/{run.uid}/").content.decode()
    unfolds, in_sight = page.split("4 earlier messages")[1].split("</details>")[:2]
    assert [number for number in range(1, 8) if f"Message {number}" in unfolds] == [1, 2, 3, 4]
    assert [number for number in range(1, 8) if f"Message {number}" in in_sight] == [5, 6, 7]


def test_the_list_shows_what_was_estimated_under_what_it_took(
    client_of: ClientOf, run: TrainingRun, trained: Trained, lead: User
) -> None:
    trained(run)
    page = client_of(lead).get("/runs/").content.decode()
    assert duration(run.estimate["seconds_high"]) in page
    assert money(run.estimate["cost_high"]) in page


def test_what_a_months_budget_was_spent_on_is_listed(
    client_of: ClientOf, run: TrainingRun, trained: Trained, admin: User
) -> None:
    trained(run)
    month = f"{builders.budget_now().month:%Y-%m}"
    client = client_of(admin)
    assert f'href="/runs/?month={month}"' in client.get("/budgets/").content.decode()
    assert run.name in client.get(f"/runs/?month={month}").content.decode()
    assert run.name not in client.get("/runs/?month=1999-01").content.decode()
    assert run.name in client.get("/runs/?month=soon").content.decode()


def test_no_two_fields_of_the_budgets_page_share_an_id(client_of: ClientOf, admin: User) -> None:
    ids = re.findall(r' id="([^"]+)"', client_of(admin).get("/budgets/").content.decode())
    assert len(ids) == len(set(ids))
    for_labels = re.findall(r'<label for="([^"]+)"', client_of(admin).get("/budgets/").content.decode())
    assert set(for_labels) <= set(ids)


def test_files_and_the_whole_model_can_be_downloaded(
    client_of: ClientOf, run: TrainingRun, trained: Trained, steward: User
) -> None:
    model = trained(run)
    client = client_of(steward)
    answer = client.get(f"/runs/{run.uid}/files/model/adapter_model.safetensors")
    assert b"".join(answer.streaming_content) == b"weights"  # type: ignore[attr-defined]
    assert "attachment" in answer["Content-Disposition"]
    packed = client.get(f"/models/{model.name}/model.zip")
    with zipfile.ZipFile(io.BytesIO(b"".join(packed.streaming_content))) as archive:  # type: ignore[attr-defined]
        assert archive.read(f"{model.name}/adapter_model.safetensors") == b"weights"
    assert client.get(f"/runs/{run.uid}/files/../../secret").status_code == 404


def test_a_model_is_promoted_and_suggests_from_its_page(
    client_of: ClientOf, model: ModelVersion, admin: User, lead: User
) -> None:
    builders.tasks(model.project, builders.source(lead), 2)
    client_of(admin).post(f"/models/{model.name}/promote/", {"publish": "1"})
    model.refresh_from_db()
    assert model.status == "champion"
    assert SuggestionBatch.objects.get().total == 2
    page = client_of(lead).get(f"/models/{model.name}/").content.decode()
    assert "Publish suggestions" in page
    assert "Promote" not in page.replace("promoted", "")


def test_over_the_rule_the_page_asks_for_a_reason(
    client_of: ClientOf, run: TrainingRun, trained: Trained, admin: User
) -> None:
    worse = {"split": "test", "rows": 9, "tokens": 90, "base_loss": 2.0, "tuned_loss": 2.5, "samples": []}
    model = trained(run, evaluation=worse)
    client = client_of(admin)
    assert "Reason to promote it all the same" in client.get(f"/models/{model.name}/").content.decode()
    assert "not better" in client.post(f"/models/{model.name}/promote/", follow=True).content.decode()
    client.post(f"/models/{model.name}/promote/", {"override_reason": "Shorter replies are worth it."})
    model.refresh_from_db()
    assert model.status == "champion"
    assert LedgerEntry.objects.get(action="model.promote").payload["passes"] is False


def test_an_admin_sets_budget_and_prices(client_of: ClientOf, admin: User) -> None:
    client = client_of(admin)
    client.post("/budgets/budget/", {"cap": "40", "second_person_above": "3"})
    device = {"name": "gpu", "price_per_hour": "1.99", "peak_gflops": "312000", "mfu_low": "0.3", "mfu_high": "0.5",
              "step_seconds": "0.01", "load_seconds": "40", "default": "on"}
    for price in ("1.99", "1.49"):
        client.post("/budgets/device/", device | {"price_per_hour": price})
    client.post("/budgets/provider/", {"name": "Managed", "price_per_million_tokens": "4"})
    assert Budget.objects.get().cap == 40
    assert str(Device.objects.get(name="gpu").price_per_hour) == "1.4900"
    assert client.post("/budgets/device/", device | {"mfu_low": "0.9"}).status_code == 422
    assert client.get("/budget/")["Location"] == "/budgets/"


def test_an_admin_makes_a_recipe_and_a_bad_one_is_named(client_of: ClientOf, admin: User) -> None:
    form = {"name": "Mine", "method": "sft", "tuning": "lora", "base_model": "tiny", "base_parameters": "164160",
            "base_layers": "2", "base_width": "64", "hyperparameters": '{"lora_r": 8}', "evaluation": "{}"}
    assert client_of(admin).post("/recipes/new/", form).status_code == 302
    assert Recipe.objects.get().hyperparameters == {"lora_r": 8}
    answer = client_of(admin).post("/recipes/new/", form | {"name": "Bad", "hyperparameters": '{"lora_r": 0}'})
    assert answer.status_code == 422
    assert "lora_r is 0" in answer.content.decode()


def test_lists_are_paged_by_key_and_keep_their_filters(
    client_of: ClientOf, run: TrainingRun, admin: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        TrainingRun.objects.create(
            kind="run", status="requested", name=f"copy {number}", snapshot=run.snapshot, recipe=run.recipe,
            device=run.device, requested_by=admin,
        )
    client = client_of(admin)
    with django_assert_max_num_queries(8):
        page = client.get("/runs/?status=requested&q=copy").content.decode()
    assert page.count("row-link") == 30
    assert "status=requested" in page.split('rel="next"')[1][:200]


def test_a_runs_page_costs_the_same_however_many_events_it_has(
    client_of: ClientOf, run: TrainingRun, admin: User, django_assert_max_num_queries: Any
) -> None:
    RunEvent.objects.bulk_create([
        RunEvent(run=run, seq=n, at=run.created_at, kind="metric", data={"step": n, "loss": 1.0})
        for n in range(1, 3000)
    ])
    client = client_of(admin)
    with django_assert_max_num_queries(14):
        page = client.get(f"/runs/{run.uid}/").content.decode()
    assert page.count('<span class="tag">metric</span>') == 12
    builders.back(run, status="done", finished_at=run.created_at)
    page = client.get(f"/runs/{run.uid}/").content.decode()
    assert page.count('<span class="tag">metric</span>') == 60


def test_what_a_run_has_taken_its_tokens_and_its_events_follow_while_it_runs(
    client_of: ClientOf, run: TrainingRun, lead: User, django_assert_max_num_queries: Any
) -> None:
    builders.back(run, status="running", seconds=75, cost="0.0123", last_seq=2)
    RunEvent.objects.create(run=run, seq=1, at=run.created_at, kind="log", data={"tokens": {"total": 987, "kept": 980}})
    RunEvent.objects.create(run=run, seq=2, at=run.created_at, kind="metric", data={"step": 3, "loss": 1.25})
    client = client_of(lead)
    with django_assert_max_num_queries(10):
        part = client.get(f"/runs/{run.uid}/live/?status=running").content.decode()
    page = client.get(f"/runs/{run.uid}/").content.decode()
    for words in ("987", "step 3, loss 1.2500"):
        assert words in part
    # Each part takes the place of the one with its id.
    for words in ('id="live"', 'id="actual-time">1 min 15 s<', 'id="actual-cost">0.0123<', 'id="run-tokens"',
                  'id="run-events"'):
        assert (part.count(words), page.count(words)) == (1, 1), words


def test_who_requested_a_dear_run_is_told_that_another_admin_approves_it(
    client_of: ClientOf, snapshot: Any, admin: User
) -> None:
    builders.budget(admin, threshold="0")
    run = builders.requested(admin, of=snapshot)
    page = client_of(admin).get(f"/runs/{run.uid}/").content.decode()
    assert "another admin must approve it" in page
    assert "Approve and queue" not in page
    page = client_of(make_user("second", "admin")).get(f"/runs/{run.uid}/").content.decode()
    assert "Approve and queue" in page


def test_a_run_whose_money_ended_before_it_was_measured_says_what_is_missing(
    client_of: ClientOf, leased: tuple[TrainingRun, str], lead: User
) -> None:
    run, token = leased
    upload_model(run, token)
    TrainingRun.objects.update(total=10, seconds=1e6)
    told = builders.result_of(run, status="stopped", stop_reason="budget", evaluation={})
    services.run_complete(run=run, token=token, result=told)
    page = client_of(lead).get(f"/runs/{run.uid}/").content.decode()
    assert "All steps were done and the weights are kept as support-g1, but they were not measured" in page
    assert "that were set aside are used up" in page
