"""The list of the ledger's entries."""

from __future__ import annotations

from django.db.models import Q

from flywheel.audit.actions import Action
from flywheel.audit.models import LedgerEntry, LedgerSubject
from flywheel.ui.tables import Column, Facet, Search, Table, View


def _about(text: str) -> Q:
    """Entries named after this thing, such as "snapshot:4f1c…", and entries that touched it among others."""
    kind, colon, ident = text.partition(":")
    if not colon:
        # Bulk acts are named "examples" or "annotations"; very many entries are, and this walks their index.
        return Q(object=text)
    touched = LedgerSubject.objects.filter(kind=kind[:20], ident=ident[:60]).values("entry")
    # As an OR of two conditions no index could be used.
    return Q(pk__in=LedgerEntry.objects.filter(object=text).values("pk").union(touched))


def _action(text: str) -> Q:
    """One action, or all actions that begin so."""
    # A list of whole names, because an index answers equality in every collation and a prefix only in some.
    return Q(action__in=[action.value for action in Action if action.value.startswith(text)])


ENTRIES: Table[LedgerEntry] = Table(
    things="entries",
    columns=(
        Column("entry", "Entry", numeric=True, sort="pk"),
        Column("action", "Action", main=True),
        Column("thing", "Thing"),
        Column("by", "By"),
        Column("when", "When"),
        Column("hash", "Hash"),
    ),
    search=Search("Thing", _about, "snapshot:…"),
    facets=(
        Facet("action", "Action begins with", _action, typed=True),
        Facet("object", "Named after", "object", typed=True),
        Facet("actor", "By", "actor", typed=True),
    ),
    views=(
        View("Withdrawals", "action=consent.withdraw"),
        View("Runs", "action=run."),
        View("People", "action=person."),
    ),
)
