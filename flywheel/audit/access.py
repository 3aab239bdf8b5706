"""Who may do what with the ledger."""

from __future__ import annotations

from flywheel.core.permissions import STEWARDS, Permission, register

register({
    "ledger.view": Permission("reading the ledger", STEWARDS),
    "ledger.verify": Permission("having the ledger verified", STEWARDS),
})
