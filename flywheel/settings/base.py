"""Settings common to every way of running. Values come from the environment; docs/operations.md lists them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Queue

from flywheel.settings.storage import file_storage

env = environ.Env()

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = Path(env.str("FLYWHEEL_VAR_DIR", default=str(BASE_DIR / "var")))

# Installations that share one broker or Redis differ in this; their trainers (training/worker/main.py) are told the same.
QUEUE_PREFIX = env.str("FLYWHEEL_QUEUE_PREFIX", default="")

DEBUG = False
ALLOWED_HOSTS: list[str] = env.list("FLYWHEEL_ALLOWED_HOSTS", default=[])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("FLYWHEEL_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "flywheel.core",
    "flywheel.ui",
    "flywheel.work",
    "flywheel.stats",
    "flywheel.audit",
    "flywheel.privacy",
    "provenance",
    "flywheel.capture",
    "annotation",
    "flywheel.datasets",
    "flywheel.runs",
    "flywheel.accounts",
    "flywheel.dashboard",
    "flywheel.ops",
    "flywheel.core.admin_config.SuperuserAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "flywheel.core.compression.TextCompression",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "flywheel.core.middleware.UserErrorMiddleware",
]

ROOT_URLCONF = "flywheel.urls"
WSGI_APPLICATION = "flywheel.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "flywheel.ui.context.navigation",
            ],
        },
    },
]


def database(url: str) -> dict[str, Any]:
    """Django's settings for a database address, with what each engine needs to be exact under concurrency."""
    config: dict[str, Any] = environ.Env.db_url_config(url)
    if config["ENGINE"].endswith("sqlite3"):
        # IMMEDIATE takes the write lock at BEGIN: two writers queue instead of failing half-way.
        config["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
        }
    else:
        config.setdefault("CONN_MAX_AGE", env.int("FLYWHEEL_CONN_MAX_AGE", default=60))
        config["CONN_HEALTH_CHECKS"] = True
    return config


DATABASES = {"default": database(env.str("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'db.sqlite3'}"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "core.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "flywheel.accounts.adapter.ClosedAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key", "change_password": "5/m/user"}
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("FLYWHEEL_TRUSTED_PROXIES", default=0)

CACHE_URL = env.str("FLYWHEEL_CACHE_URL", default="")
if CACHE_URL and not CACHE_URL.startswith(("redis://", "rediss://", "unix://")):
    raise ImproperlyConfigured(f"FLYWHEEL_CACHE_URL is {CACHE_URL!r}; use redis://, rediss:// or unix://, or leave it out")
# Rate limits are kept in the cache, so all web processes must share it. Values are JSON: Django's backends would pickle
# them (docs/decisions/0007-the-cache-holds-json.md).
CACHES: dict[str, Any] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": CACHE_URL,
        "OPTIONS": {"serializer": "flywheel.core.cache.JsonSerializer"},
        "KEY_PREFIX": QUEUE_PREFIX,
    }
    if CACHE_URL
    else {"BACKEND": "flywheel.core.cache.JsonFileCache", "LOCATION": str(VAR_DIR / "cache"), "KEY_PREFIX": QUEUE_PREFIX}
}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("FLYWHEEL_STATIC_ROOT", default=str(VAR_DIR / "static")))
UPLOT = BASE_DIR / "node_modules" / "uplot" / "dist"
STATICFILES_DIRS: list[Any] = [BASE_DIR / "flywheel" / "static"]
if UPLOT.is_dir():
    STATICFILES_DIRS.append(("vendor/uplot", UPLOT))
STORAGES: dict[str, Any] = {
    "default": file_storage(env, VAR_DIR / "files"),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "flywheel.accounts.authentication.ScopedTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["flywheel.core.http.HasPermission"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "flywheel.core.api.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "flywheel.core.api.exception_handler",
    "PAGE_SIZE": 50,
}
REST_KNOX = {"TOKEN_TTL": None, "TOKEN_LIMIT_PER_USER": 20, "AUTO_REFRESH": False, "AUTH_HEADER_PREFIX": "Token"}
# Named, since accounts keeps a foreign key to it: Django asks the setting itself when it writes migrations.
KNOX_TOKEN_MODEL = "knox.AuthToken"  # noqa: S105 - a model, not a secret
SPECTACULAR_SETTINGS = {
    "TITLE": "Flywheel",
    "VERSION": "1",
    "DESCRIPTION": "Capture, consent, annotation, snapshots, training runs and models.",
    "SERVE_INCLUDE_SCHEMA": False,
    # Choices are written where they are used; naming sets that share a field name would be guesswork.
    "POSTPROCESSING_HOOKS": [],
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "media-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 14

# --- Celery ---------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="filesystem://localhost//")
CELERY_TASK_DEFAULT_QUEUE = f"{QUEUE_PREFIX}default"
CELERY_TASK_QUEUES = [Queue(CELERY_TASK_DEFAULT_QUEUE)]
CELERY_TASK_ROUTES = {"training.*": {"queue": f"{QUEUE_PREFIX}gpu"}}
CELERY_CONTROL_EXCHANGE = f"{QUEUE_PREFIX}celery"
CELERY_EVENT_EXCHANGE = CELERY_EVENT_QUEUE_PREFIX = f"{QUEUE_PREFIX}celeryev"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {
        "data_folder_in": str(VAR_DIR / "broker" / "messages"),
        "data_folder_out": str(VAR_DIR / "broker" / "messages"),
        "control_folder": str(VAR_DIR / "broker" / "control"),
        "store_processed": False,
    }
    if CELERY_BROKER_URL.startswith("filesystem")
    else {"visibility_timeout": 3600, "global_keyprefix": QUEUE_PREFIX}
    if CELERY_BROKER_URL.startswith("redis")
    else {}
)

# --- Flywheel -------------------------------------------------------------------------------------------------
FLYWHEEL = {
    "PUBLIC_URL": env.str("FLYWHEEL_URL", default="http://127.0.0.1:8000"),
    # The queue of the trainers, which have a separate Celery application.
    "GPU_QUEUE": f"{QUEUE_PREFIX}gpu",
    "MODELS_DIR": env.str("FLYWHEEL_MODELS_DIR", default=str(VAR_DIR / "models")),
    "ORGANISATION": env.str("FLYWHEEL_ORGANISATION", default="Flywheel"),
    "REGION": env.str("FLYWHEEL_REGION", default="EU"),
    # More regions for which every record's verdict is kept, besides the installation's own.
    "REGIONS": env.list("FLYWHEEL_REGIONS", default=[]),
    "BULK_MAX_LINE_BYTES": env.int("FLYWHEEL_BULK_MAX_LINE_BYTES", default=2 * 1024 * 1024),
    "CLAIM_SECONDS": env.int("FLYWHEEL_CLAIM_SECONDS", default=600),
    "RUN_LEASE_SECONDS": env.int("FLYWHEEL_RUN_LEASE_SECONDS", default=45),
    # Where events of runs go besides the database; flywheel.runs.sinks registers the names.
    "RUN_SINKS": env.list("FLYWHEEL_RUN_SINKS", default=[]),
    "RUN_SINK_DIR": env.str("FLYWHEEL_RUN_SINK_DIR", default=str(VAR_DIR / "run_events")),
    # What signs the ledger's heads; the secret key when empty. Public keys of before, whose heads are still good.
    "LEDGER_KEY": env.str("FLYWHEEL_LEDGER_KEY", default=""),
    "LEDGER_PUBLIC_KEYS": env.list("FLYWHEEL_LEDGER_PUBLIC_KEYS", default=[]),
    "CURRENCY": env.str("FLYWHEEL_CURRENCY", default="EUR"),
    # Where a budget's month begins and ends; an unknown zone ends the start with its name.
    "BUDGET_TIME_ZONE": ZoneInfo(env.str("FLYWHEEL_BUDGET_TIME_ZONE", default="UTC")),
}

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("FLYWHEEL_LOG_LEVEL", default="INFO")},
    "loggers": {"presidio-analyzer": {"level": "ERROR"}, "celery.worker.strategy": {"level": "WARNING"}},
}
