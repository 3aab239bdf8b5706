"""The list of subjects."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from flywheel.ui.tables import Column, Search, Table
from provenance.models import Subject


def _subject_like(text: str) -> Q:
    """What the source calls the person, with or without its namespace, by how it begins; or the identifier."""
    try:
        return Q(uid=UUID(text))
    except ValueError:
        namespace, _, rest = text.partition("/")
        found = Q(external_ref__startswith=text)
        return found | Q(namespace=namespace, external_ref__startswith=rest) if rest else found


SUBJECTS: Table[Subject] = Table(
    things="subjects",
    columns=(
        Column("person", "Person", sort="external_ref", main=True),
        Column("namespace", "Namespace"),
        Column("uid", "Identifier"),
        Column("known", "Known since", sort="pk"),
    ),
    search=Search("Search", _subject_like, "What their source calls them, or an identifier"),
)
