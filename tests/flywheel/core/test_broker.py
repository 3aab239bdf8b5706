"""Web, worker and trainer speak over the same queues, and installations that share a broker do not hear each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.stack import ROOT

WEB = """
import django; django.setup()
from django.conf import settings
from flywheel.celery import app
sent = settings.FLYWHEEL["GPU_QUEUE"]
"""
TRAINER = """
from training.worker import app
sent = None
"""
SAY = """
import json
c = app.conf
print(json.dumps({"consumes": sorted(app.amqp.queues), "sends": c.task_default_queue, "gpu": sent,
                  "control": c.control_exchange, "events": c.event_exchange, "replies": c.event_queue_prefix,
                  "keys": c.broker_transport_options.get("global_keyprefix")}))
"""


def asked(program: str, **env: str) -> dict[str, object]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "CELERY_", "DATABASE_"))}
    kept["DJANGO_SETTINGS_MODULE"] = "flywheel.settings.base"
    done = subprocess.run(
        [sys.executable, "-c", program + SAY], cwd=ROOT, env=kept | env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "staging."])
def test_the_trainer_listens_where_the_web_sends(tmp_path, prefix: str) -> None:
    env = {"FLYWHEEL_QUEUE_PREFIX": prefix, "FLYWHEEL_VAR_DIR": str(tmp_path), "CELERY_BROKER_URL": "redis://127.0.0.1/9",
           "FLYWHEEL_SECRET_KEY": "k"}
    web, trainer = asked(WEB, **env), asked(TRAINER, **env)
    assert web["consumes"] == [f"{prefix}default"]
    assert trainer["consumes"] == [web["gpu"]] == [f"{prefix}gpu"]
    assert web["sends"] == f"{prefix}default"
    for name, word in (("control", "celery"), ("events", "celeryev"), ("replies", "celeryev"), ("keys", "")):
        assert web[name] == trainer[name] == f"{prefix}{word}"
