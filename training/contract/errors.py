"""Errors of documents that break the contract. Each message names the object, the bad value and the fix."""

from __future__ import annotations


class ContractError(ValueError):
    """A document that breaks the contract."""


class RowError(ContractError):
    """A row of a snapshot that does not fit the schema."""


class SnapshotError(ContractError):
    """A snapshot that cannot be read or does not verify."""
