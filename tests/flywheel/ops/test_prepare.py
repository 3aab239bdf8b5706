"""Preparing an installation: slips are named before anything is made."""

from __future__ import annotations

import socket

import pytest
from django.core.management import CommandError, call_command

from flywheel.ops.prepare import port_check
from tests.stack import free_port


def test_a_port_that_is_taken_is_named_with_the_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} of 127.0.0.1 cannot be used .*make run PORT=8001"):
            call_command("prepare", port=port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(CommandError, match=f"PORT is {port}; a port is a number from 1 to 65535"):
        call_command("prepare", port=port)


def test_a_free_port_is_fine_and_stays_free() -> None:
    port = free_port()
    port_check(port)
    port_check(port)
