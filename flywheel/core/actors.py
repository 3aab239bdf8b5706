"""Who acts: a signed-in person, or a process of Flywheel."""

from __future__ import annotations

from dataclasses import dataclass

from flywheel.core.models import User


@dataclass(frozen=True, slots=True)
class SystemActor:
    """A process that acts on a decision which a person or a rule has already made, such as a job or a withdrawal.

    name: how the ledger names it, for example "system" or "withdrawal".
    """

    name: str = "system"

    def __str__(self) -> str:
        return self.name


Actor = User | SystemActor

SYSTEM = SystemActor()


def actor_name(actor: Actor) -> str:
    """How the ledger names the actor: `user:<pk>` for a person, the bare name for a process."""
    # The key and not the name, because a display name can change and an entry cannot be rewritten.
    return actor.name if isinstance(actor, SystemActor) else f"user:{actor.pk}"


def person_of(actor: Actor) -> User | None:
    """The person, for foreign keys that name who did something; None for a process."""
    return None if isinstance(actor, SystemActor) else actor
