"""A server that is killed again and again in one download: the file is whole in the end, its hash right."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from pathlib import Path

import httpx
import pytest

from tests.amounts import amount
from tests.downloads import models
from tests.downloads.site import Hosted, model_site
from tests.server.server import Server

pytestmark = [pytest.mark.server]


def test_a_killed_download_goes_on_and_is_whole(tmp_path: Path) -> None:
    data = models.lora(8_000_000)
    chance = random.Random(7)
    kills = amount(1, 10)
    with model_site() as site:
        hosted = site.put("org/name/a.safetensors", Hosted(data))
        server = Server(tmp_path, env={"HF_ENDPOINT": site.url}, module="tests.server.fake_engine_server")
        server.start()
        try:
            answer = httpx.post(f"{server.url}/v1/downloads", json={"address": "org/name"}, timeout=60)
            assert answer.status_code == 200, answer.text
            key = answer.json()[0]["id"]
            for _ in range(kills):
                # Each time the site gives a little more and then waits, so that the server dies in the middle.
                hosted.chunked_pause = threading.Event()
                hosted.cut = len(data) // (kills + 2) + chance.randrange(50_000)
                httpx.post(f"{server.url}/v1/downloads/{key}/resume", timeout=60)
                part = _part(tmp_path)
                before = part.stat().st_size if part else 0
                end = time.monotonic() + 30
                while (now := _part(tmp_path)) is None or now.stat().st_size <= before:
                    assert time.monotonic() < end
                    time.sleep(0.01)
                server.kill()
                hosted.chunked_pause.set()
                server.start()
                (row,) = httpx.get(f"{server.url}/v1/downloads", timeout=60).json()["downloads"]
                assert row["state"] == "paused" and row["received"] > before
            hosted.chunked_pause, hosted.cut = None, 0
            httpx.post(f"{server.url}/v1/downloads/{key}/resume", timeout=60)
            end = time.monotonic() + 60
            while (row := httpx.get(f"{server.url}/v1/downloads", timeout=60).json()["downloads"][0])[
                "state"
            ] != "finished":
                assert row["state"] != "failed" and time.monotonic() < end, row["cause"]
                time.sleep(0.05)
        finally:
            server.stop()
    target = tmp_path / "models" / "Lora" / "a.safetensors"
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()
    assert _part(tmp_path) is None
    assert all(one for one in hosted.ranges_wanted[2:]), "never from the beginning again"


def _part(folder: Path) -> Path | None:
    return next(folder.rglob("*.part"), None)
