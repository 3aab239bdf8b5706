"""Kinds of jobs: which function does the work of a kind, and how the Jobs page treats it.

Each app registers its kinds in its `tasks` module:

    @job_kind("snapshot.build", title="Snapshot build")
    def build(claim: Claim) -> str: ...

A kind with a title is listed on the Jobs page; one without is follow-up work.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.utils.module_loading import module_has_submodule

if TYPE_CHECKING:
    # The models look kinds up here, so this module must not import them when it runs.
    from flywheel.work.claims import Claim
    from flywheel.work.models import Job

Work = Callable[["Claim"], "str | None"]
Send = Callable[["Job"], None]

MAX_FAILURES = 8


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job. Exactly one of `work` and `send` is set.

    work: does the job under a claim and returns the sentence that it ends in, if any. It may run twice and must not
        change anything the second time.
    send: hands a queued job to remote trainers, which claim it over HTTP.
    link: the address of the page of the job's object; "" when it has none.
    cancellable: whether a person may stop it. A withdrawal's walk is a legal duty and runs to its end.
    cancel: called with the job and the person instead of the plain request to stop at the next step.
    cancel_permission: what the person needs for it besides seeing the job; "" for nothing.
    """

    name: str
    title: str = ""
    work: Work | None = None
    send: Send | None = None
    link: Callable[[Job], str] | None = None
    cancellable: bool = True
    cancel: Callable[[Job, Any], Any] | None = None
    cancel_permission: str = ""

    @property
    def visible(self) -> bool:
        """Whether jobs of this kind are listed on the Jobs page."""
        return bool(self.title)


_kinds: dict[str, JobKind] = {}


def job_kind(
    name: str, *, title: str = "", link: Callable[[Job], str] | None = None, cancellable: bool = True
) -> Callable[[Work], Work]:
    """Register the function that does the work of jobs of kind `name` in a local worker."""

    def register(work: Work) -> Work:
        _kind_add(JobKind(name, title, work=work, link=link, cancellable=cancellable), work)
        return work

    return register


def remote_job_kind(
    name: str, *, title: str, link: Callable[[Job], str], cancel: Callable[[Job, Any], Any], cancel_permission: str
) -> Callable[[Send], Send]:
    """Register the function that sends jobs of kind `name` to the trainers."""

    def register(send: Send) -> Send:
        _kind_add(JobKind(
            name, title, send=send, link=link, cancel=cancel, cancel_permission=cancel_permission
        ), send)
        return send

    return register


def _kind_add(kind: JobKind, function: Callable[..., Any]) -> None:
    known = _kinds.get(kind.name)
    # A module that is imported again, for example by a reloader, registers the same function once more.
    if known is not None and getattr(known.work or known.send, "__module__", "") != function.__module__:
        raise RuntimeError(f"job kind {kind.name!r} is registered twice, the second time in {function.__module__}")
    _kinds[kind.name] = kind


def job_kinds() -> dict[str, JobKind]:
    """Every kind by its name."""
    # The web process imports no tasks by itself; what they register is needed there to add and list jobs.
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, "tasks"):
            importlib.import_module(f"{config.name}.tasks")
    return _kinds


def job_kind_of(name: str) -> JobKind:
    """The kind of this name. Raises KeyError for one that no app registers."""
    return _kinds[name] if name in _kinds else job_kinds()[name]
