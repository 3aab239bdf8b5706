"""Sources: where captures come from, and on which terms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Least

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.connectors import CONNECTORS, Connector
from flywheel.capture.models import Example, Source, SourcePull
from flywheel.core.batching import batched
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from provenance.domain.vocabulary import PURPOSES
from provenance.models import ProvenanceRecord
from provenance.services import source_retention_change, source_terms_change

FIELDS = (
    "kind", "options", "license_spdx", "copyright", "purposes", "prohibited_purposes", "region", "consent_policy",
    "subject_namespace", "product_names", "include_notes", "retention_days", "active",
)
LISTS = ("purposes", "prohibited_purposes", "product_names")
MAX_RETENTION_DAYS = 36_500


def source_create(*, name: str, owner: User, by: User, **terms: Any) -> Source:
    """Create a source. `terms` are any of `FIELDS`.

    Raises ValidationFailed naming the field, and Conflict when the name is taken.
    """
    source = Source(name=name, owner=owner)
    _apply(source, terms)
    # Without its own namespace a customer "17" of this source would be the same person as "17" of another one.
    source.subject_namespace = source.subject_namespace or name
    _check(source)
    try:
        with transaction.atomic():
            source.save(force_insert=True)
            ledger_append(
                actor=by, action=Action.SOURCE_CREATE, object=f"source:{name}",
                touched={"source": [source.pk]},
                payload=_terms(source),
            )
    except IntegrityError:
        raise Conflict(f"there is already a source {name!r}; change it or choose another name", field="name") from None
    return source


def source_change(*, source: Source, by: User, owner: User | None = None, **terms: Any) -> Source:
    """Change a source's terms.

    Licence, copyright, purposes, prohibited purposes, region and retention also apply to what is captured already and
    have it judged again; a delivery that named its own purposes keeps those. The other terms apply to what is processed
    from now on. The name cannot change, because it is part of every example's identity. Raises ValidationFailed naming
    the field.
    """
    with transaction.atomic():
        # Locked against a batch that is being processed, which reads the terms under the same lock.
        source = Source.objects.select_for_update().get(pk=source.pk)
        before = _terms(source)
        if owner is not None:
            source.owner = owner
        _apply(source, terms)
        _check(source)
        after = _terms(source)
        changed = {name: value for name, value in after.items() if before[name] != value}
        if changed:
            source.save()
            if changed.keys() & {"kind", "options"}:
                # Another connector or another place: what was read there before says nothing about here.
                SourcePull.objects.filter(source=source).update(cursor={}, started_at=None)
            _records_change(source, changed, by=by)
            ledger_append(
                actor=by, action=Action.SOURCE_CHANGE, object=f"source:{source.name}",
                touched={"source": [source.pk]},
                payload=changed,
            )
    return source


def _records_change(source: Source, changed: dict[str, Any], *, by: User) -> None:
    terms = {name: changed[name] for name in ("license_spdx", "copyright", "prohibited_purposes") if name in changed}
    if "region" in changed:
        terms |= {"storage_allowed": [source.region], "processing_included": [source.region]}
    if terms:
        source_terms_change(source_system=source.name, by=by, **terms)
    if "purposes" in changed:
        # A text search is safe, because stored payloads are canonical JSON: inside a text the quotes would be escaped.
        own = Example.objects.filter(source=source, capture__payload__contains='"purposes":[')
        followers = ProvenanceRecord.objects.exclude(pk__in=own.values("provenance"))
        source_terms_change(source_system=source.name, by=by, among=followers, intended_purposes=source.purposes)
        for batch in batched(list(_without_own_purposes(own))):
            others = ProvenanceRecord.objects.filter(pk__in=batch)
            source_terms_change(source_system=source.name, by=by, among=others, intended_purposes=source.purposes)
    if "retention_days" in changed:
        occurred = Subquery(Example.objects.filter(provenance=OuterRef("pk")).values("occurred_at"))
        # A conversation that is dated into the future must not lengthen its own retention.
        since = Least(Coalesce(occurred, F("captured_at")), F("captured_at"))
        source_retention_change(source_system=source.name, by=by, days=source.retention_days, since=since)


def _without_own_purposes(examples: QuerySet[Example]) -> Iterator[int]:
    # The key may also be deeper inside, in a field that the source system added, where it means something else.
    for record, payload in examples.values_list("provenance", "capture__payload").iterator():
        if not isinstance(json.loads(payload).get("purposes"), list):
            yield record


def _apply(source: Source, terms: dict[str, Any]) -> None:
    unknown = sorted(set(terms) - set(FIELDS))
    if unknown:
        raise ValidationFailed(f"a source has no {unknown[0]!r}; it has {', '.join(FIELDS)}", field=unknown[0])
    for name, value in terms.items():
        setattr(source, name, value)


def _check(source: Source) -> None:
    if source.name in ("new", "dead"):
        raise ValidationFailed(f"the name {source.name!r} is taken by a page; choose another", field="name")
    connector = CONNECTORS.get(source.kind)
    if connector is None:
        raise ValidationFailed(f"kind {str(source.kind)[:40]!r} is unknown; use {', '.join(CONNECTORS)}", field="kind")
    _options_check(source, connector)
    for name in LISTS:
        value = getattr(source, name)
        if not isinstance(value, list) or not all(isinstance(v, str) and 0 < len(v) <= 60 for v in value):
            raise ValidationFailed(
                f"{name}: expected a list of words such as [\"sft\"], found {str(value)[:80]!r}", field=name
            )
    unknown = sorted({*source.purposes, *source.prohibited_purposes} - set(PURPOSES))
    if unknown:
        raise ValidationFailed(f"purpose {unknown[0]!r} is unknown; use {', '.join(PURPOSES)}", field="purposes")
    both = sorted(set(source.purposes) & set(source.prohibited_purposes))
    if both:
        raise ValidationFailed(
            f"purpose {both[0]!r} is both intended and prohibited; keep one", field="prohibited_purposes"
        )
    days = source.retention_days
    if isinstance(days, int) and not 0 < days <= MAX_RETENTION_DAYS:
        raise ValidationFailed(
            f"retention of {days} days: give 1 to {MAX_RETENTION_DAYS}, or nothing to keep it without an end",
            field="retention_days",
        )
    try:
        # Unique names are left to the database's constraint, because a check beforehand could lose a race.
        source.full_clean(validate_unique=False, validate_constraints=False, exclude=LISTS)
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise ValidationFailed(f"{name}: {messages[0]}", field=name) from None


def _options_check(source: Source, connector: Connector) -> None:
    options = source.options
    if not isinstance(options, dict) or not all(isinstance(v, str) and len(v) <= 500 for v in options.values()):
        raise ValidationFailed(
            f"options: expected an object of texts such as {{\"folder\": \"helpdesk\"}}, found {str(options)[:80]!r}",
            field="options",
        )
    unknown = sorted(set(options) - set(connector.options))
    if unknown:
        known = f"it takes {', '.join(connector.options)}" if connector.options else "it takes none"
        raise ValidationFailed(
            f"connector {connector.title!r} has no option {unknown[0][:40]!r}; {known}", field="options"
        )
    try:
        connector.check(options)
    except ValueError as error:
        raise ValidationFailed(str(error), field="options") from None


def _terms(source: Source) -> dict[str, Any]:
    return {"owner": source.owner_id} | {name: getattr(source, name) for name in FIELDS}
