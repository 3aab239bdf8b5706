"""The cache stores JSON and never pickles."""

from __future__ import annotations

import inspect
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends import filebased
from django.core.cache.backends.redis import RedisCache

from flywheel.core.cache import JsonFileCache, JsonSerializer
from tests import servers

VALUES: list[Any] = [0, 7, -1, 1.5, True, None, "text é", [1764246120.25, 2.0], {"a": [1, {"b": None}]}]


@pytest.fixture
def cache(tmp_path: Path) -> JsonFileCache:
    return JsonFileCache(str(tmp_path), {})


@pytest.mark.parametrize("value", VALUES)
def test_values_come_back_as_they_were(cache: JsonFileCache, value: Any) -> None:
    cache.set("key", value)
    assert cache.get("key", "default") == value
    assert "key" in cache


def test_files_hold_json(cache: JsonFileCache, tmp_path: Path) -> None:
    cache.set("limit", [1.5, 2.5], 60)
    (file,) = tmp_path.iterdir()
    expiry, value = file.read_text().splitlines()
    assert time.time() < json.loads(expiry) <= time.time() + 60
    assert json.loads(value) == [1.5, 2.5]


def test_what_is_not_json_is_refused(cache: JsonFileCache) -> None:
    with pytest.raises(TypeError):
        cache.set("key", object())
    assert cache.get("key") is None


def test_a_planted_pickle_is_not_executed(cache: JsonFileCache, tmp_path: Path) -> None:
    cache.set("key", 1)
    (file,) = tmp_path.iterdir()
    # os.mkdir(<tmp>/run) as a pickle of protocol 0.
    file.write_bytes(f"cos\nmkdir\n(V{tmp_path}/run\ntR.".encode())
    assert cache.get("key") is None
    assert os.listdir(tmp_path) == []


def test_expired_and_cut_off_entries_are_missing_and_removed(cache: JsonFileCache, tmp_path: Path) -> None:
    cache.set("old", 1, -1)
    cache.set("cut", 1)
    Path(cache._key_to_file("cut")).write_bytes(b"")  # type: ignore[attr-defined]
    assert (cache.get("old"), cache.get("cut"), cache.add("cut", 2), cache.get("cut")) == (None, None, True, 2)
    assert cache.get("old") is None


def test_touch_moves_the_expiry_and_add_keeps_what_is_there(cache: JsonFileCache) -> None:
    assert not cache.touch("key")
    cache.set("key", None, 60)
    assert cache.touch("key", 600)
    assert not cache.add("key", 2)
    assert cache.get("key", "default") is None
    assert cache.incr("count") if cache.add("count", 1) else False
    assert cache.get("count") == 2


def test_every_method_of_djangos_file_cache_that_pickles_is_replaced() -> None:
    pickling = {
        name for name, method in vars(filebased.FileBasedCache).items()
        if inspect.isfunction(method) and "pickle." in inspect.getsource(method)
    }
    assert pickling <= vars(JsonFileCache).keys()


@pytest.mark.redis
def test_redis_holds_json() -> None:
    cache = RedisCache(servers.REDIS_URL, {"OPTIONS": {"serializer": JsonSerializer}, "KEY_PREFIX": "test-json-cache"})
    for value in VALUES:
        cache.set("key", value, 60)
        assert cache.get("key", "default") == value
        raw = cache._cache.get_client().get(cache.make_key("key"))
        assert json.loads(raw or "") == value
    cache.set("key", 1, 60)
    assert cache.incr("key") == 2
    cache.delete("key")
