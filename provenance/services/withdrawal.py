"""Withdrawal of consent. It blocks in its own transaction; a job then walks derived data from the top app down.

`flywheel.runs` runs the walk (job kind `withdrawal.walk`) and reports what it reached to the receipt here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.domain import json_safe
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM, Actor, actor_name, person_of
from flywheel.core.batching import batched
from flywheel.core.errors import NotFound, ValidationFailed
from flywheel.core.text import plain_text
from flywheel.work.jobs import job_add
from provenance.domain.vocabulary import LIVE_STATES, PURPOSES, REFUSING_STATES, is_consent_basis
from provenance.models import ConsentEvent, ConsentRecord, ProvenanceRecord, Subject, Withdrawal
from provenance.selectors import records_of_subjects, subject_refuses
from provenance.services.verdicts import records_judge

MAX_REASON = 500
WALK_KIND = "withdrawal.walk"
LATE_KIND = "withdrawal.late"
REFUSAL_KIND = "consent.refusal_due"


def consent_withdraw(
    *, subject: Subject, by: Actor, purposes: Iterable[str] | None = None, reason: str = "",
    effective_at: datetime | None = None,
) -> Withdrawal:
    """As `withdrawal_ensure`. Returns only the withdrawal that holds: this one or an earlier one."""
    return withdrawal_ensure(
        subject=subject, by=by, purposes=purposes, reason=reason, effective_at=effective_at
    )[0]


def withdrawal_ensure(
    *, subject: Subject, by: Actor, purposes: Iterable[str] | None = None, reason: str = "",
    effective_at: datetime | None = None,
) -> tuple[Withdrawal, bool]:
    """Withdraw a person's consent for some purposes (None: all). From this commit on the gate refuses these purposes.

    A consent record for these purposes only gets a ConsentWithdrawn event. One that also covers others keeps its
    state, because the withdrawal itself blocks the purposes named. Withdrawing again without a newer consent in
    between changes nothing. Returns the withdrawal that holds, and whether it is new. Raises ValidationFailed for an
    unknown purpose.
    """
    wanted = _purposes(purposes)
    if len(reason) > MAX_REASON:
        raise ValidationFailed(f"the reason has {len(reason):,} characters; {MAX_REASON} are allowed", field="reason")
    with transaction.atomic():
        # This lock serialises withdrawals of one person. The time is read after it, so the later one sees the first.
        locked = Subject.objects.select_for_update(no_key=True).get(pk=subject.pk)
        at = effective_at or timezone.now()
        held = _still_holding(locked, wanted)
        if held is not None:
            return held, False
        events = _events_add(locked, wanted, at, by)
        withdrawal = Withdrawal.objects.create(
            subject=locked, purposes=wanted, reason=plain_text(reason), effective_at=at,
            requested_by=person_of(by),
        )
        records = sorted(records_of_subjects([locked.pk]))
        # Judged here and not by a job, because from this commit on no page may show the records as cleared.
        records_judge(records)
        job_add(
            kind=WALK_KIND, payload={"withdrawal_uid": str(withdrawal.uid)}, object_ref=f"withdrawal:{withdrawal.uid}",
            # No name in the title, because the list of jobs is open to more people than the subject's page.
            title=f"Follow withdrawal {str(withdrawal.uid)[:8]}", requested_by=withdrawal.requested_by, unit="steps",
        )
        ledger_append(
            actor=by, action=Action.CONSENT_WITHDRAW, object=f"subject:{locked.uid}",
            touched={"subject": [locked.pk]},
            payload={
                "withdrawal": withdrawal.uid, "purposes": wanted, "at": at, "consents": events,
                "subjects": [locked.pk], "record_count": len(records),
            },
        )
    return withdrawal, True


def _purposes(purposes: Iterable[str] | None) -> list[str]:
    wanted = list(PURPOSES if purposes is None else dict.fromkeys(purposes))
    unknown = [p for p in wanted if p not in PURPOSES]
    if unknown or not wanted:
        raise ValidationFailed(
            f"purposes {', '.join(map(repr, unknown)) or 'none'}: name some of {', '.join(PURPOSES)}", field="purposes"
        )
    return wanted


def _still_holding(subject: Subject, purposes: list[str]) -> Withdrawal | None:
    """An earlier withdrawal that covers all these purposes, unless consent to one of them was given again since.

    Consent with a time in the future does not count yet.
    """
    # The newest withdrawal that covers the purposes is the one whose receipt a repeated request should show.
    for held in subject.withdrawals.order_by("-effective_at", "-pk"):
        if set(purposes) <= set(held.purposes):
            renewed = ConsentEvent.objects.filter(
                record__subject=subject, event_state__in=LIVE_STATES, event_time__gt=held.effective_at,
                event_time__lte=timezone.now(),
            ).values_list("record__purposes", flat=True).order_by()
            # A consent that was given anew makes this a new withdrawal with its own receipt, since the walk must also
            # reach what was made since.
            return None if any(set(given) & set(purposes) for given in renewed) else held
    return None


def _events_add(subject: Subject, purposes: list[str], at: datetime, by: Actor) -> list[str]:
    records = [
        # A record that also covers other purposes keeps its state, because its events apply to all of its purposes.
        record for record in ConsentRecord.objects.filter(subject=subject)
        .exclude(events__event_time=at, events__event_state__in=REFUSING_STATES).order_by("pk")
        if is_consent_basis(record.lawful_basis) and set(record.purposes) <= set(purposes)
    ]
    ConsentEvent.objects.bulk_create(
        [
            ConsentEvent(
                record=record, event_time=at, event_type="withdrawal", event_state="ConsentWithdrawn",
                entity_id=actor_name(by),
            )
            for record in records
        ],
        # Two withdrawals at the same recorded moment would insert the same event twice, which the unique constraint
        # refuses.
        ignore_conflicts=True,
    )
    return [record.record_id for record in records]


def refusals_follow(*, events: Iterable[tuple[ConsentRecord, str, datetime]], by: Actor) -> None:
    """Start withdrawals for refusals that arrived as consent events, in the caller's transaction.

    A refusing event blocks by itself, but snapshots and models that were made before it must be reached too. One with
    a time in the future is queued until then.
    """
    for record, state, at in events:
        if state not in REFUSING_STATES:
            continue
        if (wait := at - timezone.now()) > timedelta(0):
            job_add(kind=REFUSAL_KIND, delay=wait, payload={
                "record_id": record.record_id, "state": state, "at": at.isoformat(),
            })
        elif purposes := _refuses_something(record):
            consent_withdraw(
                subject=record.subject, purposes=purposes, by=by, effective_at=at,
                reason=f"recorded as {state} of consent record {record.record_id}",
            )


def refusal_due(*, record_id: str, state: str, at: str) -> None:
    """Follow a refusal whose time was in the future when it was recorded. Idempotent."""
    record = ConsentRecord.objects.select_related("subject").get(record_id=record_id)
    with transaction.atomic():
        refusals_follow(events=[(record, state, datetime.fromisoformat(at))], by=SYSTEM)


def _refuses_something(record: ConsentRecord) -> list[str]:
    """Purposes of this consent record that are refused now. Empty while no data of the person is stored."""
    if next(records_of_subjects([record.subject_id]), None) is None:
        # Data that arrives later is withdrawn when it arrives: see `late_follow`.
        return []
    refused = subject_refuses(record.subject_id)
    return [purpose for purpose in record.purposes if purpose in refused]


def late_follow(*, record_ids: Iterable[int]) -> None:
    """Queue the withdrawal of records that arrived after one of their subjects refused, in the caller's transaction.

    Must be called while the transaction holds the ledger's lock. A withdrawal then either has committed and is seen
    here, or commits after this transaction and its own walk finds these records.
    """
    for batch in batched(record_ids):
        through = ProvenanceRecord.subjects.through.objects.filter(provenancerecord_id__in=batch)
        withdrawn = Exists(Withdrawal.objects.filter(subject=OuterRef("subject")))
        refusing = Exists(ConsentEvent.objects.filter(
            record__subject=OuterRef("subject"), event_state__in=REFUSING_STATES
        ))
        # Both are asked for: a refusal as an event has no withdrawal as long as its person had no data here.
        found = through.filter(withdrawn | refusing).values_list("provenancerecord_id", flat=True)
        if records := sorted(set(found)):
            job_add(kind=LATE_KIND, payload={"records": records})


def withdrawal_receipt_add(*, withdrawal_uid: str, section: str, data: Mapping[str, Any]) -> None:
    """Write what the walk reached in one app. Writing a section again replaces it."""
    with transaction.atomic():
        # Locked, because two workers may walk the same withdrawal after one was taken for dead, and each writes the
        # whole receipt.
        withdrawal = _locked(withdrawal_uid)
        withdrawal.receipt = withdrawal.receipt | {section: json_safe(dict(data))}
        withdrawal.save(update_fields=["receipt"])


def withdrawal_complete(*, withdrawal_uid: str) -> Withdrawal:
    """End the walk. The receipt is then final and the ledger holds its hash. Idempotent."""
    with transaction.atomic():
        withdrawal = _locked(withdrawal_uid)
        # A receipt that is complete has its hash in the ledger, so it must not change, not even by a walk that is
        # repeated.
        if withdrawal.completed_at is None:
            withdrawal.completed_at = timezone.now()
            withdrawal.save(update_fields=["completed_at"])
            ledger_append(
                actor=SYSTEM, action=Action.WITHDRAWAL_COMPLETE, object=f"withdrawal:{withdrawal.uid}",
                touched={"subject": [withdrawal.subject_id]},
                payload={"receipt": withdrawal.receipt},
            )
    return withdrawal


def _locked(withdrawal_uid: str) -> Withdrawal:
    withdrawal = Withdrawal.objects.select_for_update().filter(uid=withdrawal_uid).first()
    if withdrawal is None:
        raise NotFound(f"there is no withdrawal {withdrawal_uid}")
    return withdrawal
