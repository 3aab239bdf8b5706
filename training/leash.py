"""Starts a command that dies with its parent: `python -m training.leash PARENT_PID COMMAND …`.

A trainer whose worker was killed must not go on burning hours unseen. Standard library only. Elsewhere than on Linux
there is no such leash; there the worker's own signal handling and the process group have to do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2)."""


def main(arguments: list[str]) -> None:
    """Put the leash on this process, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # It died before the leash was on.
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
