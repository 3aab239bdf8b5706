"""A turn of the wheel over REST, by people with tokens, one function per station. What is true afterwards, tests say."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from flywheel.capture.domain.conversation import example_uid
from tests.stack import ROOT, Stack

SAMPLE = ROOT / "flywheel" / "capture" / "sample"
PROJECT = "support-replies"
RECIPE = "Tiny two-layer model · full"
QUALITY = {"good": "good", "needs_work": "needs_edits", "bad": "wrong"}
Found = TypeVar("Found")


class Person:
    """A demo person: signs in as a browser does, makes a token, and uses REST with it."""

    def __init__(self, stack: Stack, role: str) -> None:
        with httpx.Client(base_url=stack.url, follow_redirects=True) as browser:
            self._post(browser, "/accounts/login/", login=role, password=stack.passwords[role])
            page = self._post(browser, "/tokens/", name="journey", expires_days="30")
        found = re.search(r'<code id="token">([^<]+)</code>', page)
        assert found, f"{role} got no token:\n{page[:2000]}"
        self.http = httpx.Client(
            base_url=f"{stack.url}/api/v1/", headers={"Authorization": f"Token {found[1]}"}, timeout=60
        )

    def close(self) -> None:
        """Let go of the connections."""
        self.http.close()

    @staticmethod
    def _post(browser: httpx.Client, path: str, **fields: str) -> str:
        form = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', browser.get(path).text)
        assert form, f"{path} has no form"
        answer = browser.post(path, data=fields | {"csrfmiddlewaretoken": form[1]})
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:2000]}"
        return answer.text

    def get(self, path: str, **query: str) -> Any:
        """GET, which has to succeed."""
        return self._checked(self.http.get(path, params=query)).json()

    def post(self, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        """POST of JSON, which has to succeed."""
        return self._checked(self.http.post(path, json=body or {}, params=query)).json()

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """Every row of a list."""
        page = self.get(path, **query)
        yield from page["results"]
        while page["next"]:
            page = self._checked(self.http.get(page["next"])).json()
            yield from page["results"]

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:2000]}"
        return answer


def until(found: Callable[[], Found], what: str, *, seconds: float = 90, every: float = 0.3) -> Found:
    """Ask again and again until the answer is true."""
    end = time.monotonic() + seconds
    while True:
        if answer := found():
            return answer
        assert time.monotonic() < end, f"{what} did not happen within {seconds:g} s"
        time.sleep(every)


def tickets() -> list[dict[str, Any]]:
    """The sample's tickets, in the order in which `prepare --limit` takes them."""
    return [json.loads(line) for line in (SAMPLE / "tickets.jsonl").read_text().splitlines()]


def answers() -> dict[str, dict[str, Any]]:
    """The sample's written answers, by the example's uid."""
    rows = [json.loads(line) for line in (SAMPLE / "answers.jsonl").read_text().splitlines()]
    return {str(example_uid(source=row["source"], external_id=row["external_id"])): row for row in rows}


def capture(admin: Person, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Deliver in bulk; processing is the worker's."""
    body = "\n".join(json.dumps(row) for row in rows)
    headers = {"Content-Type": "application/x-ndjson"}
    return dict(Person._checked(admin.http.post("captures/bulk/", content=body, headers=headers)).json())


def annotate(annotator: Person, count: int) -> list[int]:
    """Answer so many tasks with the written answers; returns the annotations' ids."""
    written, made = answers(), []
    while len(made) < count:
        assignment = annotator.post(f"projects/{PROJECT}/next/")["assignment"]
        assert assignment, f"only {len(made)} of {count} tasks were to be had"
        row = written[assignment["task"]["example"]]
        if row.get("skip"):
            annotator.post(f"assignments/{assignment['id']}/skip/", {"reason": row["skip"]})
            continue
        offered = [s["id"] for s in assignment["suggestions"] if s["origin"] == "agent"]
        made.append(annotator.post(f"assignments/{assignment['id']}/submit/", {
            "suggestion_id": offered[0] if offered else None, "result": _result(row["reply"], QUALITY[row["quality"]]),
        })["id"])
    return made


def _result(reply: str, quality: str) -> list[dict[str, Any]]:
    return [
        {"from_name": "reply", "to_name": "conversation", "type": "textarea", "value": {"text": [reply]}},
        {"from_name": "quality", "to_name": "conversation", "type": "choices", "value": {"choices": [quality]}},
    ]


def review(reviewer: Person, annotations: list[int]) -> None:
    """Accept everything."""
    for annotation in annotations:
        found = reviewer.post(f"annotations/{annotation}/review/", {"decision": "accept"})
        assert (found["task_state"], found["settled_annotation"]) == ("settled", annotation)


def freeze_asked(lead: Person) -> str:
    """Ask for a snapshot; returns its uid."""
    uid: str = lead.post("snapshots/", {
        "project": PROJECT, "name": "Journey", "purpose": "sft", "region": "EU", "seed": 7,
        "shares": {"validation": 0.1, "test": 0.2},
    })["uid"]
    return uid


def frozen(lead: Person, uid: str) -> dict[str, Any]:
    """Wait until the snapshot is built."""
    until(lambda: lead.get(f"snapshots/{uid}/")["status"] != "building", "freezing")
    return dict(lead.get(f"snapshots/{uid}/"))


def downloaded(lead: Person, uid: str, folder: Path) -> Path:
    """A snapshot's files as one finds them through REST."""
    folder.mkdir(parents=True)
    for name in ("train.parquet", "validation.parquet", "test.parquet", "manifest.json", "README.md"):
        answer = lead.http.get(f"snapshots/{uid}/files/{name}")
        (folder / name).write_bytes(Person._checked(answer).content)
    return folder


def train_asked(lead: Person, admin: Person, snapshot: str, **hyperparameters: Any) -> str:
    """Request a run and approve it; returns its uid."""
    overrides = {"hyperparameters": hyperparameters} if hyperparameters else {}
    uid: str = lead.post("runs/", {"snapshot": snapshot, "recipe": RECIPE, "overrides": overrides})["uid"]
    assert admin.post(f"runs/{uid}/approve/")["status"] == "queued"
    return uid


def trained(lead: Person, uid: str) -> dict[str, Any]:
    """Wait until the run has ended."""
    ended = ("done", "stopped", "cancelled", "failed")
    until(lambda: lead.get(f"runs/{uid}/")["status"] in ended, "training", seconds=180)
    return dict(lead.get(f"runs/{uid}/"))


def suggestion_met(annotator: Person, model: str) -> dict[str, Any]:
    """Go through the tasks until one shows a suggestion of the model; the current task has none yet."""
    for _ in range(12):
        assignment = annotator.post(f"projects/{PROJECT}/next/")["assignment"]
        assert assignment, "there was no task left to show a suggestion on"
        for suggestion in assignment["suggestions"]:
            if (suggestion["origin"], suggestion["origin_name"]) == ("model", model):
                return dict(suggestion)
        annotator.post(f"assignments/{assignment['id']}/skip/", {"reason": "looking for a suggestion"})
    raise AssertionError(f"no task shows a suggestion of {model}")
