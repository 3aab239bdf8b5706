"""What a broken or hostile trainer may send: it is refused by name or stored as what every database keeps, never a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from flywheel.audit.ledger import ledger_verify
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import Evaluation, ModelVersion, RunArtifact, RunEvent, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.conftest import upload_model
from tests.flywheel.runs.test_worker_api import call, put

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


def event(seq: int, **fields: Any) -> dict[str, Any]:
    return {"seq": seq, "at": timezone.now().isoformat(), "kind": "log", "data": {}} | fields


def raw(leased: Leased, path: str, body: bytes) -> Any:
    return call("post", leased[0], path, leased[1], body)


# -- bodies ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("written", "kept"), [
    (r'"a\u0000b"', "ab"), (r'"\ud800"', "?"), (r'"\udfff tail"', "? tail"), ("NaN", None), ("Infinity", None),
    ("-Infinity", None), ("1e999", None), ('{"x": [NaN, "\\u0000"]}', {"x": [None, ""]}),
    ('"\u202e\u2028"', "\u202e\u2028"), ("123456789012345678901234567890", 123456789012345678901234567890),
])
def test_values_that_no_database_holds_are_cleaned(leased: Leased, written: str, kept: Any) -> None:
    body = json.dumps({"events": [event(1, data={"told": "@"})]}).replace('"@"', written)
    assert raw(leased, "events", body.encode()).status_code == 200
    assert RunEvent.objects.get().data == {"told": kept}


@pytest.mark.parametrize("body", [
    b'{"events": ' + b"[" * 100_000, b'{"a":' * 5_000, b"\xff\xfe", b'{"events": [' + b"1," * 600 + b"1]}", b'"text"',
    b"[]", b"null", b"{", json.dumps({"events": {"seq": 1}}).encode(), json.dumps({"events": "x"}).encode(),
])
@pytest.mark.parametrize("path", ["events", "lease", "complete"])
def test_bodies_of_no_use_are_refused_in_words(leased: Leased, path: str, body: bytes) -> None:
    answer = raw(leased, path, body)
    assert answer.status_code == 400, answer.content[:200]
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("at", [
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01", "2026-01-01T00:00:00", "", "1" * 500, "\x00",
])
def test_times_beyond_the_calendar_are_refused(leased: Leased, at: str) -> None:
    answer = call("post", leased[0], "events", leased[1], {"events": [event(1, at=at)]})
    assert (answer.status_code, RunEvent.objects.count()) == (400, 0)


@pytest.mark.parametrize("data", [{"step": 2**31}, {"step": -1}, {"step": True}, {"step": "3"}, {"step": 1e300}, {"step": None}])
def test_a_step_that_is_none_does_not_move_the_run(leased: Leased, data: dict[str, Any]) -> None:
    answer = call("post", leased[0], "events", leased[1], {"events": [event(1, kind="metric", data=data)]})
    assert answer.status_code == 200
    assert TrainingRun.objects.get().step == 0


# -- order -----------------------------------------------------------------------------------------------------------
def test_events_out_of_order_and_twice_end_as_those_in_order(leased: Leased) -> None:
    events = [event(n, kind="metric", data={"step": n}) for n in range(1, 8)]
    for batch in (events[3:5], events[:2], events[3:5][::-1], [events[6], events[2]], events, events[:1] * 3):
        assert call("post", leased[0], "events", leased[1], {"events": batch}).status_code == 200
    run = TrainingRun.objects.get()
    assert list(run.events.order_by("seq").values_list("seq", flat=True)) == list(range(1, 8))
    assert (run.last_seq, run.step) == (7, 7)


def test_a_number_that_was_told_before_keeps_what_was_told_first(leased: Leased) -> None:
    for loss in (1.0, 99.0):
        call("post", leased[0], "events", leased[1], {"events": [event(1, data={"loss": loss})]})
    assert RunEvent.objects.get().data == {"loss": 1.0}


def test_a_bad_event_among_good_ones_stores_none_of_them(leased: Leased) -> None:
    answer = call("post", leased[0], "events", leased[1], {"events": [event(1), event(2, kind="party"), event(3)]})
    assert (answer.status_code, RunEvent.objects.count()) == (400, 0)


# -- the end ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wrong", [
    {"rows": 2**31}, {"rows": -1}, {"tokens": 2**63}, {"split": "x" * 13}, {"split": None}, {"rows": "many"},
    {"base_loss": "low"}, {"tuned_loss": [1]}, {"base_loss": 1e308 * 10, "rows": None},
])
def test_an_evaluation_that_cannot_be_is_refused_and_the_run_goes_on(leased: Leased, wrong: dict[str, Any]) -> None:
    run, token = leased
    upload_model(run, token)
    result = builders.result_of(run)
    result["evaluation"] |= wrong
    answer = call("post", run, "complete", token, {"result": result})
    if wrong.get("rows", 0) is None:
        assert answer.status_code == 200, "a loss that is not a number is not an evaluation"
        assert not Evaluation.objects.exists()
        return
    assert answer.status_code == 400, answer.content[:300]
    run.refresh_from_db()
    assert (run.status, ModelVersion.objects.count()) == ("running", 0)


@pytest.mark.parametrize("loss", ["NaN", "Infinity", "null", "1e999"])
def test_a_loss_that_is_no_number_makes_a_candidate_that_the_rule_keeps_back(leased: Leased, loss: str) -> None:
    run, token = leased
    upload_model(run, token)
    body = json.dumps({"result": builders.result_of(run)}).replace('"tuned_loss": 2.0', f'"tuned_loss": {loss}')
    assert raw(leased, "complete", body.encode()).status_code == 200
    assert ModelVersion.objects.get().status == "candidate"
    assert not Evaluation.objects.exists()


@pytest.mark.parametrize("fields", [{"steps": 2**40}, {"steps": -3}, {"error": "a\x00b"}, {"stop_reason": "\ud800"},
                                    {"tokens": {"trained": 10**30}}, {"libraries": {"torch": "2\x00"}}])
def test_results_with_odd_numbers_and_texts_end_the_run_all_the_same(leased: Leased, fields: dict[str, Any]) -> None:
    run, token = leased
    upload_model(run, token)
    answer = call("post", run, "complete", token, {"result": builders.result_of(run, **fields)})
    assert answer.status_code in (200, 400), answer.content[:300]
    page = TrainingRun.objects.get()
    assert page.status == ("done" if answer.status_code == 200 else "running")
    assert 0 <= page.step < 2**31


def test_a_failure_in_hostile_words_is_told_and_settled(leased: Leased) -> None:
    answer = call("post", leased[0], "fail", leased[1], {"error": "\x00\ud800<b>" + "x" * 100_000})
    assert answer.status_code == 200
    run = TrainingRun.objects.get()
    assert run.status == "failed"
    assert len(run.error) <= 4000
    assert ledger_verify().ok


# -- files -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", ["/".join(["a" * 100] * 5), "a" * 101, "a/" * 6 + "b", "model/%2e%2e/x", "con:"])
def test_paths_that_are_too_long_or_odd_are_refused(leased: Leased, path: str) -> None:
    assert put(leased[0], path, leased[1], b"x").status_code == 400
    assert not RunArtifact.objects.exists()


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 5000, "٣", " 5", "0x5", ""])
def test_a_length_that_is_no_number_is_refused(leased: Leased, length: str) -> None:
    run, token = leased
    answer = Client().generic(
        "PUT", f"/api/v1/worker/run/{run.uid}/artifacts/result.json", b"x", "application/octet-stream",
        HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_CONTENT_SHA256="0" * 64, CONTENT_LENGTH=length,
    )
    assert answer.status_code in (400, 413), answer.status_code


def test_a_file_that_says_less_than_it_sends_is_refused(leased: Leased) -> None:
    import hashlib
    import io

    from flywheel.core.errors import ValidationFailed

    run, token = leased
    with pytest.raises(ValidationFailed, match="arrived as"):
        services.artifact_store(job=run, token=token, path="result.json", stream=io.BytesIO(b"12345"), size=3,
                                sha256=hashlib.sha256(b"12345").hexdigest())


@pytest.mark.parametrize("manifest", [
    b"[" * 100_000, b'{"files": {"model/a.safetensors": {"sha256": "x", "bytes": 1e999}}}', b"[]", b" ", b"\xff\xfe\x00",
    b'{"files": {"model/a.safetensors": {"sha256": "x", "bytes": NaN}}}', b'{"files": {"model/a": 1}}',
])
def test_a_manifest_that_cannot_be_read_is_refused_and_the_run_goes_on(leased: Leased, manifest: bytes) -> None:
    run, token = leased
    assert put(run, "manifest.json", token, manifest).status_code == 201
    answer = call("post", run, "complete", token, {"result": builders.result_of(run)})
    assert answer.status_code == 400, answer.content[:200]
    assert "manifest" in answer.json()["error"]["message"]
    assert TrainingRun.objects.get().status == "running"


# -- what people then read -------------------------------------------------------------------------------------------
ODD_VALUES = ["x", [], {"a": 1}, None, True, -1, 1e300, 10**400, "<script>", "nan"]
NUMBERS = ("step", "loss", "eval_loss", "seconds", "total_steps", "tokens", "tokens_per_second", "rows", "base_loss", "message")


@pytest.mark.parametrize("odd", ODD_VALUES, ids=lambda value: str(value)[:12])
def test_odd_values_break_neither_the_runs_page_nor_the_next_estimate(
    odd: Any, leased: Leased, admin: User, client_of: Callable[[User], Client]
) -> None:
    run, token = leased
    kinds = ("log", "metric", "checkpoint", "estimate", "evaluation", "done", "failed")
    told = [event(n, kind=kind, data=dict.fromkeys(NUMBERS, odd)) for n, kind in enumerate(kinds, 1)]
    told.append(event(8, data={"tokens": dict.fromkeys(("total", "kept", "trained"), odd)}))
    assert call("post", run, "events", token, {"events": told}).status_code == 200
    TrainingRun.objects.update(total=9)
    pages = [reverse("runs:run", args=[run.uid]), reverse("runs:run_live", args=[run.uid]), reverse("runs:runs")]
    for page in pages:
        assert client_of(admin).get(page).status_code == 200
    upload_model(run, token)
    result = builders.result_of(run) | {
        "tokens": {"total": odd, "trained": odd, "processed": odd}, "speed": {"real_tokens_per_s": odd, "x": odd},
    }
    assert call("post", run, "complete", token, {"result": result}).json() == {"status": "done"}
    for page in pages:
        assert client_of(admin).get(page).status_code == 200
    assert services.run_estimate(snapshot=run.snapshot, recipe=run.recipe, device=run.device).estimate.seconds_high > 0


# -- withdrawn rows --------------------------------------------------------------------------------------------------
def test_a_tainted_snapshots_rows_are_handed_to_no_trainer(leased: Leased) -> None:
    run, token = leased
    assert b"".join(call("get", run, "snapshot/train.parquet", token).streaming_content)
    Snapshot.objects.update(status="tainted")
    answer = call("get", run, "snapshot/train.parquet", token)
    assert answer.status_code == 403
    assert "withdrew" in answer.json()["error"]["message"]
