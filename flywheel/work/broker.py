"""The embedded broker: Kombu's file system transport, in which a message is seen only when it is whole.

Kombu opens a message's file under its name and then fills it. A reader that comes between takes an empty file: the
message is lost, and the reading worker ends with everything that was started beside it.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Writes under a name that no reader looks for, and gives the file its own name afterwards."""

    def _put(self, queue: str, payload: dict[str, Any], **kwargs: Any) -> None:  # type: ignore[override]
        # The names are Kombu's: readers take them in order and read the queue's name from what follows the first dot.
        name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"
        target = Path(self.data_folder_out) / name
        part = target.with_name(f"{name}.part")
        try:
            part.write_text(dumps(payload), encoding="utf-8")
            os.replace(part, target)
        except OSError as error:
            raise ChannelError(f"the message {target} could not be written: {error}") from error


class Transport(filesystem.Transport):  # type: ignore[misc]
    """What `filesystem://` means once `broker_use` was called."""

    Channel = Channel


def broker_use() -> None:
    """Have every connection to `filesystem://` in this process use this transport."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
