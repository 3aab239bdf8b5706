"""Who may open the pages that join several apps."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from annotation.access import REVIEWING
from annotation.models import Membership
from flywheel.capture.models import Example
from flywheel.core.access import LEAD, REVIEWER
from flywheel.core.models import User
from flywheel.core.permissions import DECIDERS, SIGNED_IN, STEWARDS, Fact, Permission, register, role
from flywheel.datasets.access import snapshots_for
from flywheel.runs.access import models_of, runs_of
from flywheel.runs.models import SuggestionBatch
from flywheel.work.models import Job

WATCHED = 200
"""The jobs of this many of the newest snapshots, runs and batches of the projects that a lead leads are shown."""


def jobs_for(user: User) -> QuerySet[Job]:
    """Long jobs that the person may see: all for stewards and admins; for others their own, and for a lead also those
    on snapshots, runs and batches of the projects led."""
    jobs = Job.objects.filter(visible=True).select_related("requested_by")
    # Decided first, because the lists of keys below cost three queries that stewards and admins do not need.
    if STEWARDS(user):
        return jobs
    mine = Q(requested_by=user)
    if role(LEAD)(user):
        # Bounded, because the uids become one IN list of the query.
        newest = snapshots_for(user).order_by("-pk").values_list("uid", flat=True)[:WATCHED]
        mine |= Q(object_ref__in=[f"snapshot:{uid}" for uid in newest])
        # Lists of keys and not joins: each is one bounded query over an index, whatever the table of jobs holds.
        mine |= Q(pk__in=list(runs_of(user).order_by("-pk").values_list("pk", flat=True)[:WATCHED]))
        batches = SuggestionBatch.objects.filter(model__in=models_of(user))
        mine |= Q(pk__in=list(batches.order_by("-pk").values_list("pk", flat=True)[:WATCHED]))
    return jobs.filter(mine)


def _reviews(user: User, example: Example) -> bool:
    """Whether a project in which the person reviews has the example as a task."""
    return Membership.objects.filter(user=user, role__in=REVIEWING, project__tasks__example=example).exists()


register({
    "home.view": Permission("looking at the home page", SIGNED_IN),
    "wheel.view": Permission("looking at the wheel", DECIDERS),
    "lineage.view": Permission(
        "looking at an example's lineage", DECIDERS | (role(REVIEWER) & Fact("its reviewers", _reviews))
    ),
    # A fact about one job is assumed without an object, so the list opens for everyone and `jobs_for` limits its rows.
    "job.view": Permission(
        "looking at a job",
        STEWARDS | Fact("the people whose work it does", lambda user, job: jobs_for(user).filter(pk=job.pk).exists()),
    ),
})
