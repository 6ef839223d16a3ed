"""The same requests to our server and to the oracle; by hand, many: `python -m tests.endtoend.compare 300`, and
`… compare 100 0 SDXL` for another family.
"""

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

from tests.checkpoints import TINY_REFINER, TINY_SD2, TINY_SDXL, write_tiny_checkpoint
from tests.endtoend.drawn_requests import Drawn, drawn
from tests.endtoend.house import FLAGS, PATIENCE
from tests.endtoend.oracle import Painter, opened, painted, peak_ratio
from tests.server.server import ROOT, Server

DEMO = ROOT / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"


# Toys of the families, and what their files state; the demo checkpoint stands for Stable Diffusion 1.
TOYS = {
    "SD2": (TINY_SD2, "epsilon"),
    "SD2 v": (TINY_SD2, "v_prediction"),
    "SDXL": (TINY_SDXL, "epsilon"),
    "SDXL v": (TINY_SDXL, "v_prediction"),
    "SDXL refiner": (TINY_REFINER, "epsilon"),
}


def checkpoint_of(family: str, folder: Path) -> Path:
    """A checkpoint of that family: the demo's own, or a toy written into `folder`."""
    if family == "SD1":
        return DEMO
    architecture, prediction = TOYS[family]
    stated = {"modelspec.prediction_type": prediction}
    return write_tiny_checkpoint(folder / "toy.safetensors", architecture=architecture, dtype="fp32", metadata=stated)


@contextmanager
def server_of(checkpoint: Path, data: Path) -> Iterator[Server]:
    """A server of its own with that checkpoint alone, in full precision."""
    folder = data / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    shutil.copy(checkpoint, folder)
    with Server(data, *FLAGS, module="modules.server") as server:
        yield server


def answered(server: Server, body: dict[str, Any]) -> list[Image.Image]:
    """The pictures that our API gives for `body`, a grid left out."""
    call = "img2img" if "init_images" in body else "txt2img"
    sent = {key: _sent(value) for key, value in body.items()}
    answer = httpx.post(f"{server.url}/sdapi/v1/{call}", json=sent, timeout=PATIENCE, verify=False)
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


def main(count: int, start: int = 0, family: str = "SD1") -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = checkpoint_of(family, Path(folder))
        painter = Painter(checkpoint, family)
        worst = _lowest(painter, checkpoint, Path(folder) / "data", range(start, start + count))
    print(f"{count} requests of {family}; the lowest:", ", ".join(f"{ratio:.1f} ({n})" for ratio, n in worst))  # noqa: T201


def _lowest(painter: Painter, checkpoint: Path, data: Path, numbers: range) -> list[tuple[float, int]]:
    worst: list[tuple[float, int]] = []
    with server_of(checkpoint, data) as server:
        for number in numbers:
            request = drawn(number)
            lowest = min(ratios(server, painter, request))
            worst = sorted([*worst, (lowest, number)])[:20]
            if lowest < 60:
                print(number, f"{lowest:.1f}", request.body)  # noqa: T201
    return worst


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]), int(given[1]) if len(given) > 1 else 0, given[2] if len(given) > 2 else "SD1")
