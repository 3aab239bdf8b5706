"""Requesting a snapshot: the row and the job that builds it."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from annotation.models import Project
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.work.jobs import job_add
from provenance.domain.regions import is_region
from provenance.domain.vocabulary import PURPOSES
from training.contract.snapshot import shares_problem

BUILD_KIND = "snapshot.build"
DEFAULT_SHARES = {"validation": 0.1, "test": 0.1}
MAX_SEED = 2**32 - 1


def snapshot_request(
    *, project: Project, name: str, purpose: str, region: str, by: User, seed: int = 0,
    shares: Mapping[str, float] | None = None, system_prompt: str = "", commercial: bool = True,
) -> Snapshot:
    """Ask for a snapshot of everything in the project that is settled and cleared; a job builds it.

    `shares` are those of validation and test; the rest is train. The row exists at once, with a job that shows
    progress. Raises ValidationFailed naming the field.
    """
    wanted = dict(DEFAULT_SHARES if shares is None else shares)
    _check(name=name, purpose=purpose, region=region, seed=seed, shares=wanted, system_prompt=system_prompt)
    with transaction.atomic():
        snapshot = Snapshot(
            project=project, name=name.strip(), purpose=purpose, region=region.strip(), seed=seed, shares=wanted,
            system_prompt=system_prompt.strip(), commercial=commercial, requested_by=by,
        )
        snapshot.job = job_add(
            kind=BUILD_KIND, title=f"Freeze snapshot {snapshot.name}", requested_by=by,
            object_ref=f"snapshot:{snapshot.uid}",
        )
        snapshot.save(force_insert=True)
        ledger_append(
            actor=by, action=Action.SNAPSHOT_REQUEST, object=f"snapshot:{snapshot.uid}",
            touched={"snapshot": [snapshot.pk], "project": [project.pk]},
            payload={
                "project": project.slug, "purpose": purpose, "region": snapshot.region, "commercial": commercial,
                "seed": seed, "shares": wanted,
            },
        )
    return snapshot


def _check(
    *, name: str, purpose: str, region: str, seed: int, shares: Mapping[str, float], system_prompt: str
) -> None:
    if not name.strip() or len(name.strip()) > 200:
        raise ValidationFailed(f"the name has {len(name.strip())} characters; give 1 to 200", field="name")
    if purpose not in PURPOSES:
        raise ValidationFailed(f"purpose {purpose!r} is not known; use one of {', '.join(PURPOSES)}", field="purpose")
    if not is_region(region.strip()):
        raise ValidationFailed(
            f"the region is {region[:40]!r}; give where the snapshot will be used, such as 'EU', 'DE' or 'US-CA'",
            field="region",
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ValidationFailed(f"the seed is {seed!r}; give a whole number from 0 to {MAX_SEED}", field="seed")
    if problem := shares_problem(shares):
        raise ValidationFailed(problem, field="shares")
    if len(system_prompt) > 8000:
        count = len(system_prompt)
        raise ValidationFailed(f"the system prompt has {count:,} characters; 8,000 are allowed", field="system_prompt")
