"""Sources: where captures come from, and the terms under which."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from flywheel.capture.models import Source
from flywheel.core.errors import Conflict, Invalid
from flywheel.core.models import User
from provenance.ledger import ledger_append

FIELDS = (
    "kind", "license_spdx", "copyright", "purposes", "prohibited_purposes", "region", "consent_policy",
    "subject_namespace", "include_notes", "retention_days", "active",
)


def source_create(*, name: str, owner: User, by: User, **terms: Any) -> Source:
    """Create a source. `terms` are any of `FIELDS`.

    Raises Invalid naming the field, and Conflict when the name is taken.
    """
    source = Source(name=name, owner=owner)
    _apply(source, terms)
    source.subject_namespace = source.subject_namespace or name
    _check(source)
    try:
        with transaction.atomic():
            source.save(force_insert=True)
            ledger_append(actor=by, action="source.create", object=f"source:{name}", payload=_terms(source))
    except IntegrityError:
        raise Conflict(f"there is already a source {name!r}; change it or choose another name", field="name") from None
    return source


def source_change(*, source: Source, by: User, owner: User | None = None, **terms: Any) -> Source:
    """Change a source's terms. They count for what is processed from now on; what was captured keeps its own.

    The name stays: it is part of every example's identity. Raises Invalid naming the field.
    """
    with transaction.atomic():
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
            ledger_append(actor=by, action="source.change", object=f"source:{source.name}", payload=changed)
    return source


def _apply(source: Source, terms: dict[str, Any]) -> None:
    unknown = sorted(set(terms) - set(FIELDS))
    if unknown:
        raise Invalid(f"a source has no {unknown[0]!r}; it has {', '.join(FIELDS)}", field=unknown[0])
    for name, value in terms.items():
        setattr(source, name, value)


def _check(source: Source) -> None:
    for name in ("purposes", "prohibited_purposes"):
        value = getattr(source, name)
        if not isinstance(value, list) or not all(isinstance(v, str) and 0 < len(v) <= 60 for v in value):
            raise Invalid(f"{name}: expected a list of purposes such as [\"sft\"], found {value!r}", field=name)
    both = sorted(set(source.purposes) & set(source.prohibited_purposes))
    if both:
        raise Invalid(f"purpose {both[0]!r} is both intended and prohibited; keep one", field="prohibited_purposes")
    try:
        source.full_clean(validate_unique=False, validate_constraints=False, exclude=["purposes", "prohibited_purposes"])
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {messages[0]}", field=name) from None


def _terms(source: Source) -> dict[str, Any]:
    return {"owner": source.owner_id} | {name: getattr(source, name) for name in FIELDS}
