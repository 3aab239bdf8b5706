"""Pages and REST of snapshots: who may open them, downloads, proofs."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Membership
from flywheel.capture.models import Example
from flywheel.datasets import services
from flywheel.datasets.exports import EXPORTS
from flywheel.datasets.models import Snapshot
from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain
from tests.flywheel.datasets.conftest import House
from training.contract import verify_inclusion

pytestmark = pytest.mark.django_db

API = "/api/v1/snapshots/"


@pytest.fixture
def snapshot(house: House) -> Snapshot:
    """A frozen snapshot with a refusal in it."""
    house.settle(12)
    house.settle(1, start=50, customers=60, consent=False)
    return house.freeze()


def body_of(answer: Any) -> bytes:
    """The whole body; reading a streamed one to its end closes its file."""
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def addresses(snapshot: Snapshot) -> list[str]:
    uid, example = snapshot.uid, Example.objects.order_by("pk").first()
    assert example is not None
    pages = [reverse("datasets:snapshots"), reverse("datasets:snapshot_new")]
    pages += [reverse(f"datasets:{name}", args=[uid]) for name in ("snapshot", "snapshot_rows", "snapshot_refusals")]
    pages += [reverse("datasets:snapshot_file", args=[uid, name]) for name in ("manifest.json", "train.parquet")]
    pages += [reverse("datasets:snapshot_openai", args=[uid, "train"])]
    pages += [reverse("datasets:snapshot_export", args=[uid, name, "train"]) for name in EXPORTS]
    rest = [API, f"{API}{uid}/", f"{API}{uid}/files/README.md", f"{API}{uid}/openai.jsonl", f"{API}{uid}/plain.txt",
            f"{API}{uid}/exports/text/all", f"{API}{uid}/proof/{example.uid}/"]
    return pages + rest


def test_lead_steward_and_admin_open_everything(snapshot: Snapshot, client_of, lead, steward, admin):
    for person in (lead, steward, admin):
        for url in addresses(snapshot):
            answer = client_of(person).get(url)
            assert (answer.status_code, bool(body_of(answer))) == (200, True), url


def test_others_open_nothing(snapshot: Snapshot, client_of, client, stranger, annotator, reviewer):
    for url in addresses(snapshot):
        assert client.get(url).status_code in (302, 401, 403)
        for person in (stranger, annotator, reviewer):
            assert client_of(person).get(url).status_code == 403, url


def test_a_lead_of_another_project_sees_nothing_of_it(snapshot: Snapshot, client_of, lead):
    Membership.objects.all().delete()
    client = client_of(lead)
    for url in addresses(snapshot):
        if str(snapshot.uid) in url:
            assert client.get(url).status_code == 404, url
    assert client.get(API).json()["results"] == []


def test_a_snapshot_is_asked_for_over_rest_and_built(house: House, api_of, lead, stranger):
    house.settle(6)
    wanted = {"project": "support", "name": "Replies", "purpose": "sft", "region": "EU", "seed": 3}
    assert api_of(stranger).post(API, wanted, format="json").status_code == 403
    answer = api_of(lead).post(API, wanted, format="json")
    assert (answer.status_code, answer.json()["status"]) == (201, "building")
    jobs_drain()
    found = api_of(lead).get(f"{API}{answer.json()['uid']}/").json()
    assert (found["status"], found["row_count"]) == ("frozen", 6)
    assert found["manifest"]["merkle_root"] == found["merkle_root"]


@pytest.mark.parametrize(("change", "field"), [
    ({"purpose": "selling"}, "purpose"), ({"region": " "}, "region"), ({"seed": -1}, "seed"),
    ({"shares": {"test": 2}}, "shares"), ({"shares": {"train": 0.5}}, "shares"), ({"name": ""}, "name"),
])
def test_a_bad_request_names_its_field(house: House, api_of, lead, change, field):
    wanted = {"project": "support", "name": "Replies", "purpose": "sft", "region": "EU"} | change
    answer = api_of(lead).post(API, wanted, format="json")
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field
    assert not Snapshot.objects.exists()


def test_the_form_asks_for_a_snapshot(house: House, client_of, lead):
    form = {"project": "support", "name": "Replies", "purpose": "sft", "region": "EU", "validation": "0.1",
            "test": "0.1", "seed": "1"}
    client = client_of(lead)
    answer = client.post(reverse("datasets:snapshot_new"), form)
    assert answer["Location"] == reverse("datasets:snapshot", args=[Snapshot.objects.get().uid])
    assert "Queued" in client.get(answer["Location"]).content.decode()
    wrong = client.post(reverse("datasets:snapshot_new"), form | {"validation": "0.6", "test": "0.6"})
    assert wrong.status_code == 422
    assert Snapshot.objects.count() == 1


def test_the_form_shows_how_much_is_ready(house: House, client_of, lead):
    from provenance.services import due_judge

    house.settle(7)
    due_judge()
    stats_refresh(due_only=False)
    page = client_of(lead).get(reverse("datasets:snapshot_new"))
    assert [n for _, counts in page.context["estimate"] for _, n in counts] == [7, 7, 7]


def test_a_download_is_the_file_that_the_manifest_names(snapshot: Snapshot, api_of, lead):
    client = api_of(lead)
    for entry in snapshot.manifest["splits"].values():
        answer = client.get(f"{API}{snapshot.uid}/files/{entry['file']}")
        body = body_of(answer)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (entry["bytes"], entry["sha256"])
        assert answer["Content-Length"] == str(len(body))
    for name in ("..%2Fmanifest.json", "secret.txt"):
        assert client.get(f"{API}{snapshot.uid}/files/{name}").status_code == 404


def test_chat_lines_carry_a_weight_on_the_assistant_only(snapshot: Snapshot, api_of, lead):
    answer = api_of(lead).get(f"{API}{snapshot.uid}/exports/openai/test")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert len(lines) == snapshot.split_counts["test"]
    for line in lines:
        assert [m.get("weight") for m in line["messages"]] == [None, None, 1]
        assert [m["role"] for m in line["messages"]] == ["user", "user", "assistant"]
    assert api_of(lead).get(f"{API}{snapshot.uid}/exports/openai/x").status_code == 404
    everything = body_of(api_of(lead).get(f"{API}{snapshot.uid}/exports/openai/all"))
    assert len(everything.splitlines()) == snapshot.row_count


def test_plain_text_holds_every_conversation(snapshot: Snapshot, api_of, lead):
    body = body_of(api_of(lead).get(f"{API}{snapshot.uid}/exports/text/train")).decode()
    assert body.count("\n---\n") == snapshot.split_counts["train"]


def test_every_registered_format_has_a_link_and_both_addresses(snapshot: Snapshot, client_of, api_of, lead):
    page = client_of(lead).get(reverse("datasets:snapshot", args=[snapshot.uid])).content.decode()
    for name, export in EXPORTS.items():
        link = reverse("datasets:snapshot_export", args=[snapshot.uid, name, "train"])
        assert f'<a href="{link}">{export.title}</a>' in page
        shown, answered = client_of(lead).get(link), api_of(lead).get(f"{API}{snapshot.uid}/exports/{name}/train")
        assert body_of(shown) == body_of(answered) != b""
        assert shown["Content-Disposition"] == f'attachment; filename="train.{export.suffix}"'
        assert shown["Content-Type"] == answered["Content-Type"] == export.content_type


def test_an_unknown_format_is_refused_with_the_known_ones(snapshot: Snapshot, api_of, lead):
    answer = api_of(lead).get(f"{API}{snapshot.uid}/exports/csv/train")
    assert answer.status_code == 404
    assert answer.json()["error"]["message"] == "export format 'csv' does not exist; use one of openai, text"


@pytest.mark.parametrize(("former", "address"), [
    ("openai.jsonl", "exports/openai/train"), ("openai.jsonl?split=all", "exports/openai/all"),
    ("plain.txt?split=test", "exports/text/test"),
])
def test_former_addresses_of_exports_give_the_same_content(snapshot: Snapshot, api_of, lead, former, address):
    client = api_of(lead)
    assert body_of(client.get(f"{API}{snapshot.uid}/{former}")) == body_of(client.get(f"{API}{snapshot.uid}/{address}"))


def test_every_row_has_a_proof_that_verifies(snapshot: Snapshot, api_of, lead):
    for row in snapshot.rows.select_related("example"):
        told = api_of(lead).get(f"{API}{snapshot.uid}/proof/{row.example.uid}/").json()
        assert verify_inclusion(
            bytes.fromhex(told["leaf_sha256"]), told["leaf_index"], told["tree_size"],
            [bytes.fromhex(node) for node in told["proof"]], bytes.fromhex(snapshot.merkle_root),
        )
    assert api_of(lead).get(f"{API}{snapshot.uid}/proof/{uuid.uuid4()}/").status_code == 404


def test_a_tainted_snapshot_hands_out_no_rows_and_keeps_its_evidence(snapshot: Snapshot, client_of, api_of, lead):
    row = snapshot.rows.first()
    assert row is not None
    services.snapshots_withdraw([row.record_id])
    client = api_of(lead)
    for path in ("files/train.parquet", "exports/openai/train", "openai.jsonl", "plain.txt"):
        answer = client.get(f"{API}{snapshot.uid}/{path}")
        assert answer.status_code == 422
        assert "withdrew" in answer.json()["error"]["message"]
    assert json.loads(body_of(client.get(f"{API}{snapshot.uid}/files/manifest.json")))["rows"] == 12
    assert client.get(f"{API}{snapshot.uid}/proof/{row.example.uid}/").json()["tainted"] is True
    page = client_of(lead).get(reverse("datasets:snapshot", args=[snapshot.uid])).content.decode()
    assert "1 row belong" in page or "1 row" in page


def test_one_that_is_still_building_has_no_files(house: House, api_of, lead):
    waiting = house.request()
    assert api_of(lead).get(f"{API}{waiting.uid}/files/manifest.json").status_code == 422


def test_lists_take_a_fixed_number_of_queries(snapshot: Snapshot, client_of, lead, django_assert_max_num_queries):
    client = client_of(lead)
    for name in ("snapshot_rows", "snapshot_refusals", "snapshot"):
        with django_assert_max_num_queries(9):
            client.get(reverse(f"datasets:{name}", args=[snapshot.uid]))
