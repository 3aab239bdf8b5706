"""Who may do what with accounts."""

from __future__ import annotations

from flywheel.core.permissions import ADMINS, SIGNED_IN, Permission, register

register({
    "account.own": Permission("looking at one's own account and tokens", SIGNED_IN),
    "person.manage": Permission("managing people", ADMINS),
})
