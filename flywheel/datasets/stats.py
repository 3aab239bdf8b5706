"""Counting what is annotated, settled and cleared: the clearance funnel's stages, and a form's estimate."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count

from annotation.models import Task
from flywheel.datasets.selectors import STAGES
from flywheel.stats.registry import Counted, counter
from provenance.domain.vocabulary import JUDGED_PURPOSES
from provenance.models import GateVerdict
from provenance.settings import judged_regions


@counter("datasets.settled")
def settled_cleared_count(now: datetime) -> Counted:
    """For each purpose and region kept, the records at each stage, and each project's settled tasks."""
    found: dict[str, dict[str, float]] = {}
    settled = Task.objects.filter(state=Task.State.SETTLED)
    by_project = dict(settled.order_by().values_list("project_id").annotate(n=Count("pk")))
    for purpose in JUDGED_PURPOSES:
        for region in judged_regions():
            cleared = GateVerdict.objects.filter(purpose=purpose, region=region, cleared=True)
            ready = dict(
                settled.filter(example__provenance_id__in=cleared.values("record_id"))
                .order_by().values_list("project_id").annotate(n=Count("pk"))
            )
            values: dict[str, float] = {
                f"stage.{name}": records(purpose, region).count() for name, (_, records) in STAGES.items()
            }
            for project_id in by_project:
                values[f"settled.{project_id}"] = by_project[project_id]
                values[f"settled_cleared.{project_id}"] = ready.get(project_id, 0)
            found[f"gate:{purpose}:{region}"] = values
    return found
