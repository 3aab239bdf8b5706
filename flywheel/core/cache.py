"""Cache backends that store JSON. Django's own store pickles, and reading a pickle runs what its writer put into it.

Who can write to a cache directory or a Redis server must not be able to run code in the web processes.
"""

from __future__ import annotations

import json
import time
from typing import IO, Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.filebased import FileBasedCache


class JsonSerializer:
    """Serializer of Django's Redis backend. Values must be JSON; tuples come back as lists."""

    def dumps(self, value: Any) -> bytes:
        """The value as JSON. Raises TypeError for anything else. An integer is plain digits, as INCR needs it."""
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        """The stored value."""
        return json.loads(data)


class JsonFileCache(FileBasedCache):
    """Django's file cache with JSON instead of pickle: the first line is the expiry, the second the value.

    It replaces every method of its parent that pickles (Django 5.2); a test fails when another one appears.
    """

    cache_suffix = ".json"

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            with open(self._key_to_file(key, version), "rb") as file:  # type: ignore[attr-defined]  # not in the stubs
                return default if self._is_expired(file) else json.loads(file.read())
        except FileNotFoundError:
            return default

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        # A missing value and a stored null must differ, so the default is an object that JSON cannot give.
        missing = object()
        value = self.get(key, missing, version)
        if value is missing:
            return False
        self.set(key, value, timeout, version)
        return True

    def _write_content(self, file: IO[Any], timeout: Any, value: Any) -> None:
        file.write(json.dumps(self.get_backend_timeout(timeout)).encode() + b"\n" + json.dumps(value).encode())

    def _is_expired(self, file: IO[Any]) -> bool:
        try:
            expiry = json.loads(file.readline())
        except ValueError:
            # A file that a full disk cut off counts as expired.
            expiry = 0
        if expiry is None or expiry >= time.time():
            return False
        self._delete(file.name)  # type: ignore[attr-defined]  # not in the stubs
        return True
