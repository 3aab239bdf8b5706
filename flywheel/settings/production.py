"""Production: everything from the environment, and nothing starts without what it needs."""

from __future__ import annotations

from flywheel.settings.base import *  # noqa: F403
from flywheel.settings.base import STORAGES, env

SECRET_KEY = env.str("FLYWHEEL_SECRET_KEY")
env.str("DATABASE_URL")
env.str("CELERY_BROKER_URL")
env.list("FLYWHEEL_ALLOWED_HOSTS")

STORAGES = STORAGES | {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}

SECURE_SSL_REDIRECT = env.bool("FLYWHEEL_SSL_REDIRECT", default=True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("FLYWHEEL_BEHIND_PROXY", default=False) else None
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = env.int("FLYWHEEL_HSTS_SECONDS", default=60 * 60 * 24 * 365)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
