"""Tests: a separate database and folder, quick password hashes, messages kept in memory.

FLYWHEEL_TEST_DATABASE_URL moves the suite to another database (PostgreSQL); FLYWHEEL_TEST_BROKER_URL to a broker.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from flywheel.settings.base import *  # noqa: F403
from flywheel.settings.base import database, env

SECRET_KEY = "only-for-tests-and-never-served"
ALLOWED_HOSTS = ["*"]
VAR_DIR = Path(tempfile.gettempdir()) / f"flywheel-test-{os.getpid()}"
VAR_DIR.mkdir(parents=True, exist_ok=True)

DATABASES = {"default": database(env.str("FLYWHEEL_TEST_DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}"))}
DATABASES["default"]["CONN_MAX_AGE"] = 0
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file and not memory: threads and the live server must see one database. It need not survive a power cut.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
    DATABASES["default"]["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"

else:
    # No test looks at the database after a power cut, and commits need not wait for the disk.
    DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(VAR_DIR / "files")}},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True

CELERY_BROKER_URL = env.str("FLYWHEEL_TEST_BROKER_URL", default="memory://")
CELERY_BROKER_TRANSPORT_OPTIONS = {}
