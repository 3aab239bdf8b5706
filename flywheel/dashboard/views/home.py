"""The home per role, the wheel, and a person's own account page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from flywheel.accounts.selectors import password_is_one_time
from flywheel.core.access import ADMIN, ANNOTATOR, LEAD, REVIEWER, STEWARD, roles_of
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User
from flywheel.dashboard import access, selectors, wheel
from flywheel.stats.series import Gauges, gauges_of
from flywheel.ui.navigation import link, link_for


@permitted("home.view")
def index(request: AuthenticatedRequest) -> HttpResponse:
    """What waits for this person, a section per role; people without a role are told whom to ask."""
    user = request.user
    roles = roles_of(user)
    context: dict[str, Any] = {"sections": [], "one_time_password": password_is_one_time(user)}
    # In the order of the sections and not of the roles, so the daily work of a person with several is on top.
    for role, fill in _SECTIONS.items():
        if role in roles:
            context["sections"].append({"role": role, "template": f"dashboard/sections/{role}.html", **fill(user)})
    return render(request, "dashboard/index.html", context)


def _annotator(user: User) -> dict[str, Any]:
    mine = selectors.answers_of(user)
    projects = selectors.projects_of(user, ANNOTATOR)
    return {
        "projects": projects,
        # A held lease counts also when the queue is empty, because its task can still be answered.
        "next": next((item for item in projects if item.active or item.open), None),
        "mine": mine,
        "week_delta": wheel.delta_text(mine.week, mine.last_week),
        # Without a decision the share is not defined; 0 % would read as if all answers had been rejected.
        "accepted_share": mine.accepted / mine.decided if mine.decided else None,
        "decided_text": f"of {mine.decided:,} decided in 7 days" if mine.decided else "nothing decided in 7 days",
        "seconds_unit": "s" if mine.seconds else "",
        "returned": selectors.returned_to(user),
        "left": sum(item.open for item in projects),
        "left_days": selectors.days_sum(item.gauges.days("tasks.open") for item in projects),
        "as_of": mine.as_of or next((item.gauges.as_of for item in projects if item.gauges.as_of), None),
    }


def _reviewer(user: User) -> dict[str, Any]:
    projects = selectors.projects_of(user, REVIEWER)
    return {
        "projects": projects,
        "waiting": sum(item.in_review + item.flags for item in projects),
        "as_of": next((item.gauges.as_of for item in projects if item.gauges.as_of), None),
    }


def _lead(user: User) -> dict[str, Any]:
    projects = selectors.projects_of(user, LEAD)
    return {
        "projects": projects,
        "totals": selectors.totals(projects),
        "as_of": next((item.gauges.as_of for item in projects if item.gauges.as_of), None),
        "projects_url": link("projects"),
    }


def _steward(user: User) -> dict[str, Any]:
    gauges = gauges_of("all")
    gate = selectors.refusals()
    return {
        "gate": gate,
        "rules": gate.rules[:8],
        "largest": gate.rules[0][2] if gate.rules else 0,
        "records": gate.gauges.get("records"),
        "cleared": gate.gauges.get("cleared"),
        "cleared_delta": _delta(gate.gauges, "cleared"),
        "refused": gate.gauges.get("refused"),
        "refused_delta": _delta(gate.gauges, "refused"),
        "quarantined": gauges.get("home.decide.quarantined"),
        "personal_data": gauges.get("home.decide.personal_data"),
        "withdrawals": gauges.get("home.decide.withdrawals"),
        "gate_spark": gate.gauges.spark,
        "spark": gauges.spark,
        "as_of": gate.gauges.as_of,
        "clearance_url": link("clearance"),
        "subjects_url": link("subjects"),
    }


def _delta(gauges: Gauges, name: str) -> str:
    return wheel.delta_text(gauges.value(name) or 0, gauges.before(name))


def _admin(user: User) -> dict[str, Any]:
    turning = selectors.wheel_now()
    gauges = gauges_of("all")
    budget = selectors.budget_now()
    return {
        "wheel": turning,
        "runs": selectors.runs_recent(),
        "budget": budget,
        # Reserved money counts as used, because runs in progress may still spend it.
        "budget_used": budget.spent + budget.reserved if budget else None,
        "jobs": list(access.jobs_for(user).filter(finished_at=None).order_by("-pk")[:5]),
        "failed_captures": gauges.get("home.failed.captures"),
        "failed_messages": gauges.get("home.failed.messages"),
        "as_of": turning.as_of,
        "runs_url": link("runs"),
        "budgets_url": link("budgets"),
        "snapshots_url": link("snapshots"),
        "sources_url": link("sources"),
    }


_SECTIONS = {ANNOTATOR: _annotator, REVIEWER: _reviewer, LEAD: _lead, STEWARD: _steward, ADMIN: _admin}

STATION_LINKS = {
    "captured": ("examples", ""), "annotated": ("projects", ""), "settled": ("projects", "?state=settled"),
    "cleared": ("clearance", ""), "snapshot": ("snapshots", ""), "trained": ("runs", "?status=done"),
    "promoted": ("models", "?status=champion"), "suggested": ("projects", ""),
}
"""Where the examples that have passed a station are listed."""

WAITING_LINKS = {
    "captured": ("deliveries", "?status=received"),
    "annotated": ("projects", "?state=open"), "settled": ("projects", "?state=in_review"), "cleared": ("clearance", ""),
    "snapshot": ("clearance", ""), "trained": ("snapshots", ""), "promoted": ("models", "?status=candidate"),
    "suggested": ("projects", "?state=open"),
}
"""Where those that wait before one are."""


@permitted("wheel.view")
def wheel_page(request: AuthenticatedRequest) -> HttpResponse:
    """The stations as a ring, their pace, where it is stuck, and how suggestions fared per generation."""
    found = selectors.wheel_now()
    # One query for all rows of the chart, because a check per row would ask for the memberships each time.
    opened = selectors.models_open_to(request.user, [row.model_id for row in found.generations if row.model_id])
    project = selectors.sole_project(request.user)

    def url(links: dict[str, tuple[str, str]], station: str) -> str:
        key, query = links.get(station, ("", ""))
        page = link_for(request.user, key) if key else ""
        if key == "projects" and page:
            # With one project its tasks are the list; with more, the projects' own list has their counts.
            return f"{link('projects', project.slug, 'tasks')}{query}" if project else page
        # No link for people who may not open the page, because they would only reach status 403.
        return page and page + query

    context = {
        "wheel": found,
        "ring": [
            {"station": station, "place": place, "url": url(STATION_LINKS, station.kind.key),
             "waiting_url": url(WAITING_LINKS, station.kind.key)}
            for station, place in zip(found.stations, wheel.PLACES, strict=True)
        ],
        "acceptance": [
            {
                "row": row, "bar": wheel.segments(row.acceptance, 240), "open": row.model_id in opened,
                "answers": answers_url(row),
                "words": f"{row.acceptance.accepted} accepted, {row.acceptance.edited} edited, "
                         f"{row.acceptance.replaced} replaced",
            }
            for row in found.generations
        ],
        "models_url": link("models"),
    }
    return render(request, "dashboard/wheel.html", context)


def answers_url(row: wheel.Generation) -> str:
    """Where the answers that an acceptance counts are listed."""
    # The shown name of the agent is a phrase; answers store the origin.
    origin = "agent" if row.model_id is None else row.acceptance.name
    return f"{reverse('dashboard:answers')}?{urlencode({'of': origin})}"
