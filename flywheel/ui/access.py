"""Who may arrange the pages."""

from __future__ import annotations

from flywheel.core.permissions import SIGNED_IN, Permission, register

register({"view.save": Permission("saving a view of a list", SIGNED_IN)})
