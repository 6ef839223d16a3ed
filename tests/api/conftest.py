"""A real server with a real engine and a toy checkpoint, spoken to over HTTP."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.checkpoints import write_tiny_checkpoint
from tests.server.server import Server

SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 2, "seed": 7}


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("api")
    write_tiny_checkpoint(data / "models" / "Stable-diffusion" / "tiny.safetensors")
    write_tiny_checkpoint(data / "models" / "Stable-diffusion" / "other.safetensors", seed=1)
    flags = ("--use-cpu", "all", "--no-half")
    with Server(data, *flags, module="modules.server") as running:
        yield running


@pytest.fixture
def api(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, verify=False, timeout=120) as client:
        yield client


def png(size: tuple[int, int] = (64, 64), seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(buffer, "PNG")
    return buffer.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def opened(text: str) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(text)))
    image.load()
    return image


def made(api: httpx.Client, call: str = "txt2img", **fields: Any) -> dict[str, Any]:
    answer = api.post(f"/sdapi/v1/{call}", json=SMALL | fields)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result
