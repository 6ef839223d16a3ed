"""The same requests to our server and to the oracle; by hand, many: `python -m tests.endtoend.compare 300`."""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image

from tests.endtoend.drawn_requests import Drawn, drawn
from tests.endtoend.house import FLAGS, PATIENCE
from tests.endtoend.oracle import Painter, opened, painted, peak_ratio
from tests.server.server import ROOT, Server

DEMO = ROOT / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"


@contextmanager
def demo_server(data: Path) -> Iterator[Server]:
    """A server of its own with the demo checkpoint alone, in full precision."""
    folder = data / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    shutil.copy(DEMO, folder)
    with Server(data, *FLAGS, module="modules.server") as server:
        yield server


def answered(server: Server, body: dict[str, Any]) -> list[Image.Image]:
    """The pictures that our API gives for `body`, a grid left out."""
    call = "img2img" if "init_images" in body else "txt2img"
    sent = {key: _sent(value) for key, value in body.items()}
    answer = httpx.post(f"{server.url}/sdapi/v1/{call}", json=sent, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    images = [opened(base64.b64decode(text)) for text in answer.json()["images"]]
    return images[-body.get("batch_size", 1) :]


def _sent(value: Any) -> Any:
    if isinstance(value, Image.Image):
        data = io.BytesIO()
        value.save(data, "PNG")
        return base64.b64encode(data.getvalue()).decode()
    return [_sent(item) for item in value] if isinstance(value, list) else value


def ratios(server: Server, painter: Painter, request: Drawn) -> list[float]:
    """PSNR of each picture of a request between the two, in decibels."""
    ours = answered(server, request.body)
    return [
        peak_ratio(image, painted(painter, request.body, request.first, request.hires, index))
        for index, image in enumerate(ours)
    ]


def main(count: int, start: int = 0) -> None:
    torch.set_num_threads(1)
    painter = Painter(DEMO)
    worst: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as folder, demo_server(Path(folder)) as server:
        for number in range(start, start + count):
            request = drawn(number)
            lowest = min(ratios(server, painter, request))
            worst = sorted([*worst, (lowest, number)])[:20]
            if lowest < 60:
                print(number, f"{lowest:.1f}", request.body)  # noqa: T201
    print(f"{count} requests; the lowest:", ", ".join(f"{ratio:.1f} ({n})" for ratio, n in worst))  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
