"""Embedded: SQLite, Celery on files, everything on one machine, bound to loopback. What `make run` starts."""

from __future__ import annotations

from flywheel.settings.base import *  # noqa: F403
from flywheel.settings.base import ALLOWED_HOSTS as NAMED_HOSTS
from flywheel.settings.base import BASE_DIR, VAR_DIR, env
from flywheel.settings.secret import folder_private, secret_key_from

folder_private(VAR_DIR, ours=VAR_DIR == BASE_DIR / "var")
SECRET_KEY = env.str("FLYWHEEL_SECRET_KEY", default="") or secret_key_from(VAR_DIR / "secret_key")
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]", *NAMED_HOSTS]
WHITENOISE_USE_FINDERS = True

for folder in ("broker/messages", "broker/control", "files", "models", "static", "work"):
    (VAR_DIR / folder).mkdir(parents=True, exist_ok=True)
