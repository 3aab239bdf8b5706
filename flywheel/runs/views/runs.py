"""Pages of training runs: the list, asking for one with its estimate, one run live."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import Conflict, NotFound, UserError
from flywheel.core.http import AuthenticatedRequest, is_fragment, permitted
from flywheel.core.json_values import finite
from flywheel.core.models import User
from flywheel.core.permissions import allow
from flywheel.core.text import whole_number
from flywheel.runs import access, domain, selectors, services
from flywheel.runs.domain import ENDED
from flywheel.runs.forms import RunForm
from flywheel.runs.models import Recipe, TrainingRun
from flywheel.runs.services.artifacts import stored_open
from flywheel.runs.tables import RUNS
from provenance.access import subject_asked

EVENTS_SHOWN = 60
EVENTS_LIVE = 12
"""Of a running run, so that the list that comes anew every two seconds needs no scrolling."""


@permitted("run.view")
@require_GET
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """Runs, newest first."""
    runs = access.runs_of(request.user).select_related("snapshot", "recipe", "device", "model", "evaluation")
    if snapshot := _uuid(request.GET.get("snapshot", "")):
        runs = runs.filter(snapshot__uid=snapshot)
    if month := _month(request.GET.get("month", "")):
        runs = runs.filter(budget__month=month)
    if subject := subject_asked(request.user, request.GET):
        runs = runs.filter(snapshot__in=selectors.snapshots_holding(subject.uid))
    recipes = [(name, name) for name in Recipe.objects.order_by("name").values_list("name", flat=True)[:200]]
    context = {
        "snapshot": snapshot, "subject": subject, "month": month,
        "batches": selectors.batches_of_month(month) if month and allow("budget.view", request.user) else {},
        "table": RUNS.page(request, runs, choices={"recipe": recipes}, scope=("snapshot", "month", "subject")),
        "may_request": allow("run.request", request.user),
    }
    return render(request, "runs/runs.html", context)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _month(text: str) -> date | None:
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        return None


@permitted("run.request")
def create(request: AuthenticatedRequest) -> HttpResponse:
    """The form of a request, and the request once it is sent."""
    chosen = {name: request.GET[name] for name in ("snapshot", "recipe", "device") if request.GET.get(name)}
    form = RunForm(request.POST or None, user=request.user, initial=chosen)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            run = services.run_request(
                snapshot=data["snapshot"], recipe=data["recipe"], device=data["device"], name=data["name"],
                overrides=form.overrides(), by=request.user,
            )
        except UserError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, f"'{run.name}' was requested and waits for an admin's approval.")
            return redirect("runs:run", uid=run.uid)
    return render(request, "runs/run_new.html", {"form": form}, status=422 if form.errors else 200)


@permitted("run.request")
@require_GET
def estimate(request: AuthenticatedRequest) -> HttpResponse:
    """What the chosen run would take and cost: a fragment beside the form, or a page without scripts."""
    form = RunForm(request.GET, user=request.user)
    context: dict[str, Any] = {"form": form, "fragment": is_fragment(request)}
    if form.is_valid():
        data = form.cleaned_data
        context["device"] = data["device"]
        try:
            context["found"] = services.run_estimate(
                snapshot=data["snapshot"], recipe=data["recipe"], device=data["device"], overrides=form.overrides()
            )
        except UserError as error:
            context["problem"] = error.message
    return render(request, "runs/estimate.html", context)


@permitted("run.view")
@require_GET
def detail(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """One run: live progress and curve, estimate beside actual, samples, tokens, files, events."""
    run = access.run_of(request.user, uid)
    refusal = services.approval_refusal(run=run, by=request.user)
    model, evaluation = getattr(run, "model", None), getattr(run, "evaluation", None)
    missing = domain.missing(
        status=run.status, step=run.step, total_steps=run.total_steps, model=model.name if model else "",
        evaluated=evaluation is not None,
    )
    context = _live(run) | {
        "evaluation": evaluation, "missing": missing, "samples": selectors.samples_of(run),
        "model": model, "artifacts": list(run.artifacts.order_by("path")),
        "metrics": list(run.events.filter(kind="metric").order_by("-seq")[:20]),
        "may_approve": allow("run.approve", request.user, run) and not refusal
        and run.status == TrainingRun.Status.REQUESTED,
        "approval_refusal": refusal,
        "may_cancel": _may_cancel(request.user, run), "problems": _problems(run), "spec": run.spec,
    }
    return render(request, "runs/run.html", context)


def _live(run: TrainingRun) -> dict[str, Any]:
    newest = run.events.filter(kind="metric", data__has_key="loss").order_by("-seq").first()
    ended = run.status in ENDED
    return {
        "events": list(run.events.order_by("-seq")[: EVENTS_SHOWN if ended else EVENTS_LIVE]),
        "tokens": run.result.get("tokens") or _tokens_told(run),
        "run": run, "ended": ended, "steps_unit": f"of {run.total_steps:,}",
        "cost_label": "Cost" if ended else "Cost so far", "metric": newest.data if newest else {},
        "ratio": selectors.ratio_of(run), "left": _seconds_left(run, newest.data if newest else {}),
    }


def _tokens_told(run: TrainingRun) -> dict[str, Any]:
    """The trainer's account of tokens, which it gives before its first step."""
    told = run.events.filter(kind="log", data__has_key="tokens").order_by("seq").first()
    return dict(told.data["tokens"]) if told and isinstance(told.data["tokens"], dict) else {}


def _seconds_left(run: TrainingRun, metric: dict[str, Any]) -> float | None:
    """Of training, at the pace so far."""
    step, seconds = finite(metric.get("step")) or 0, finite(metric.get("seconds")) or 0
    if run.status != TrainingRun.Status.RUNNING or not step or run.total_steps <= step:
        return None
    return seconds / step * (run.total_steps - step)


def _may_cancel(user: User, run: TrainingRun) -> bool:
    return allow("run.cancel", user, run) and run.status not in ENDED and run.status != TrainingRun.Status.CANCELLING


def _problems(run: TrainingRun) -> list[str]:
    return services.problems_of(run.snapshot, run.recipe) if run.status not in ENDED else []


@permitted("run.view")
@require_GET
def live(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """The part of a run's page that changes while it runs. A run that has ended asks for the whole page."""
    run = access.run_of(request.user, uid)
    response = render(request, "runs/live.html", _live(run) | {"live": True})
    if run.status != request.GET.get("status", run.status):
        response["X-Reload"] = "true"
    return response


@permitted("run.view")
@require_GET
def curve(request: AuthenticatedRequest, uid: UUID) -> JsonResponse:
    """Metric events after `since`: what the curve draws."""
    run = access.run_of(request.user, uid)
    since = whole_number(request.GET.get("since"), 0)
    events = list(
        run.events.filter(seq__gt=since, kind="metric").order_by("seq").values_list("seq", "data")[
            : selectors.CURVE_POINTS
        ]
    )
    points = [{k: data.get(k) for k in ("step", "loss", "eval_loss", "tokens_per_second")} for _, data in events]
    more = len(events) == selectors.CURVE_POINTS
    return JsonResponse({
        "points": points, "seq": events[-1][0] if events else since, "more": more, "status": run.status,
        "ended": run.status in ENDED,
    })


@permitted("run.approve")
@require_POST
def approve(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Reserve the cost and queue the run."""
    run = access.run_of(request.user, uid)
    try:
        run = services.run_approve(run=run, by=request.user)
    except UserError as error:
        messages.error(request, f"Not approved: {error.message}.")
    else:
        told = f"Approved: {run.reserved} {run.device.currency} are set aside; a trainer takes it next."
        messages.success(request, told)
    return redirect("runs:run", uid=uid)


@permitted("run.cancel")
@require_POST
def cancel(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Stop a run."""
    run = access.run_of(request.user, uid)
    try:
        cancelled = services.remote_job_cancel(job=run, by=request.user, reason=request.POST.get("reason", ""))
    except Conflict as error:
        messages.warning(request, f"Nothing to cancel: {error.message}.")
    else:
        over = cancelled.status == TrainingRun.Status.CANCELLED
        messages.success(request, "Cancelled." if over else "The trainer is told to stop; that takes a few seconds.")
    return redirect("runs:run", uid=uid)


@permitted("run.view")
@require_GET
def artifact(request: AuthenticatedRequest, uid: UUID, path: str) -> HttpResponseBase:
    """One file that the run left."""
    run = access.run_of(request.user, uid)
    found = run.artifacts.filter(path=path).first()
    if found is None:
        raise NotFound(f"run '{run.name}' has no file {path[:120]!r}")
    name = path.rsplit("/", 1)[-1]
    return FileResponse(
        stored_open(found.storage_path), as_attachment=True, filename=name, content_type="application/octet-stream",
        headers={"Content-Length": str(found.size)},
    )
