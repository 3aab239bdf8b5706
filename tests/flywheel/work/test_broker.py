"""Web, worker and trainer speak over the same queues, and installations that share a broker do not hear each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from kombu import Connection
from kombu.transport.virtual import Empty

from flywheel.work.tasks import run
from tests.stack import ROOT
from training.worker import app as trainer

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


def test_a_message_in_the_embedded_broker_is_seen_only_when_it_is_whole(tmp_path, monkeypatch):
    from flywheel.work import broker

    broker.broker_use()
    options = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "control_folder": str(tmp_path / "c")}
    seen = []
    replace = os.replace

    def look_first(part, target):
        # All that a reader could find before the message has its name.
        with connection.channel() as reader, pytest.raises(Empty):
            reader._get("default")
        seen.append(json.loads(part.read_text()))
        replace(part, target)

    monkeypatch.setattr(broker.os, "replace", look_first)
    with Connection("filesystem://", transport_options=options) as connection, connection.channel() as channel:
        assert isinstance(channel, broker.Channel)
        for number in range(3):
            channel._put("default", {"number": number, "text": "\u00e4"})
            assert channel._get("default") == {"number": number, "text": "\u00e4"}
        with pytest.raises(Empty):
            channel._get("default")
    assert [message["number"] for message in seen] == [0, 1, 2]
    assert not list(tmp_path.glob("*.part"))


def test_web_and_worker_use_the_broker_whose_messages_are_whole():
    from flywheel.celery import app
    from flywheel.work import broker

    assert app.connection_for_write("filesystem://").get_transport_cls() is broker.Transport


def test_the_trainers_application_takes_no_job_of_the_web() -> None:
    assert trainer.main == "training"
    assert run.app.main == "flywheel"
