"""The trainer's worker: `main` leases and carries out jobs, `process` runs the trainer, `client` calls the web.

`celery -A training.worker` finds the Celery application here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.worker.main import app

__all__ = ["app"]


def __getattr__(name: str) -> Any:
    # Loaded on first access (PEP 562), because `python -m training.worker.process` imports this package too: every
    # trainer would wait for Celery and httpx before it starts.
    if name == "app":
        from training.worker.main import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
