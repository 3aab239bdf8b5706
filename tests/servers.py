"""Which servers answer on this machine, for the tests that need a real one."""

from __future__ import annotations

import os
import shutil
import socket
from urllib.parse import urlparse

POSTGRES_URL = os.environ.get("FLYWHEEL_TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS_URL = os.environ.get("FLYWHEEL_TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
RABBITMQ_URL = os.environ.get("FLYWHEEL_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")
CHROMIUM = os.environ.get("FLYWHEEL_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def answers(url: str) -> bool:
    """Whether something accepts connections at the address's host and port."""
    parts = urlparse(url)
    try:
        with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=2):
            return True
    except OSError:
        return False


def postgres_answers() -> bool:
    """Whether PostgreSQL lets us in, not only whether its port is open."""
    if not answers(POSTGRES_URL):
        return False
    import psycopg

    try:
        psycopg.connect(f"{POSTGRES_URL}/postgres", connect_timeout=3).close()
    except psycopg.Error:
        return False
    return True


def available() -> dict[str, bool]:
    """Every server by name."""
    return {
        "PostgreSQL": postgres_answers(),
        "Redis": answers(REDIS_URL),
        "RabbitMQ": answers(RABBITMQ_URL),
        "Chromium": CHROMIUM is not None,
    }
