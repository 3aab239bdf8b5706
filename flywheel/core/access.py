"""The roles of people. What a role may do is in the table of permissions (`core.permissions`)."""

from __future__ import annotations

from typing import Any

ANNOTATOR = "annotator"
REVIEWER = "reviewer"
LEAD = "lead"
STEWARD = "steward"
ADMIN = "admin"
ROLES = (ANNOTATOR, REVIEWER, LEAD, STEWARD, ADMIN)


def roles_of(user: Any) -> frozenset[str]:
    """The roles of a person; a superuser has all, an inactive or anonymous person none."""
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(ROLES)
    # Read once per user object, because one request asks many times.
    cached: frozenset[str] | None = getattr(user, "_roles", None)
    if cached is None:
        cached = frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
        user._roles = cached
    return cached
