"""What the worker's tests ask about processes."""

from __future__ import annotations

import time
from pathlib import Path


def process_gone(pid: int, seconds: float = 10) -> bool:
    """Whether the process ends within `seconds`; a zombie, which waits for its parent to reap it, has ended."""
    end = time.monotonic() + seconds
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].startswith("Z"):
                return True
        except OSError:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
