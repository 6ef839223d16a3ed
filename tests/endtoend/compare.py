"""The same requests to our server and to the oracle; by hand, many: `python -m tests.endtoend.compare 300`, and
`… compare 100 0 SDXL` for another family, `… compare 100 0 SDXL "SDXL refiner"` with a refiner.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch
from PIL import Image

from tests.checkpoints import TINY_COSXL, TINY_PLAYGROUND, TINY_REFINER, TINY_SD2, TINY_SDXL, write_tiny_checkpoint
from tests.endtoend.drawn_requests import Drawn, drawn
from tests.endtoend.house import FLAGS, PATIENCE
from tests.endtoend.oracle import opened, painted, peak_ratio
from tests.endtoend.oracle_painter import Painter
from tests.server.server import ROOT, Server

DEMO = ROOT / "models" / "Stable-Diffusion" / "demo-emoji.safetensors"


# Toys of the families, and what their files state; the demo checkpoint stands for Stable Diffusion 1.
TOYS = {
    "SD2": (TINY_SD2, "epsilon"),
    "SD2 v": (TINY_SD2, "v_prediction"),
    "SDXL": (TINY_SDXL, "epsilon"),
    "SDXL v": (TINY_SDXL, "v_prediction"),
    "SDXL refiner": (TINY_REFINER, "epsilon"),
    "Playground": (TINY_PLAYGROUND, "edm"),
    # As CosXL's own files do: it is not the velocity of a model with timesteps.
    "CosXL": (TINY_COSXL, "v_prediction"),
}
# A model, and the one that goes on with what it began.
REFINED = (("SDXL", "SDXL refiner"), ("SDXL v", "CosXL"), ("CosXL", "SDXL refiner"), ("SD1", "SD2 v"))


def checkpoint_of(family: str, folder: Path) -> Path:
    """A checkpoint of that family: the demo's own, or a toy written into `folder`."""
    if family == "SD1":
        return DEMO
    architecture, prediction = TOYS[family]
    stated = {"modelspec.prediction_type": prediction}
    path = folder / f"{family.lower().replace(' ', '-')}.safetensors"
    return write_tiny_checkpoint(path, architecture=architecture, dtype="fp32", metadata=stated)


@contextmanager
def server_of(checkpoint: Path, data: Path, *others: Path) -> Iterator[Server]:
    """A server of its own with that checkpoint alone, or with others beside it, in full precision."""
    folder = data / "models" / "Stable-diffusion"
    folder.mkdir(parents=True)
    for path in (checkpoint, *others):
        shutil.copy(path, folder)
    with Server(data, *FLAGS, module="modules.server") as server:
        yield server


@dataclass(frozen=True)
class Pair:
    """Checkpoints of a family and of its refiner, with the second implementation's painter for them."""

    painter: Painter
    checkpoint: Path
    refiner: Path | None = None

    @classmethod
    def of(cls, folder: Path, family: str, refiner: str | None = None) -> Pair:
        checkpoint = checkpoint_of(family, folder)
        painter = Painter(checkpoint, family)
        if refiner is None:
            return cls(painter, checkpoint)
        path = checkpoint_of(refiner, folder)
        painter.refiner = Painter(path, refiner)
        return cls(painter, checkpoint, path)

    @contextmanager
    def served(self, data: Path) -> Iterator[Server]:
        with server_of(self.checkpoint, data, *([] if self.refiner is None else [self.refiner])) as server:
            yield server

    def request(self, number: int) -> Drawn:
        """The request of that number for them."""
        painters = [self.painter, *([] if self.painter.refiner is None else [self.painter.refiner])]
        timesteps = all(painter.family.edm is None for painter in painters)
        made = drawn(number, timesteps=timesteps, refiner=None if self.refiner is None else self.refiner.stem)
        made.body["override_settings"]["sd_model_checkpoint"] = self.checkpoint.stem
        return made


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


def sensitivity(server: Server, request: Drawn) -> float:
    """PSNR of the pictures with those drawn with a guidance scale that differs in its last bits: where these are
    far apart, so are two programs that add in another order. The lowest, in decibels.
    """
    nudged = {**request.body, "cfg_scale": request.body["cfg_scale"] * (1 + 2e-7)}
    pairs = zip(answered(server, request.body), answered(server, nudged), strict=True)
    return min(peak_ratio(one, other) for one, other in pairs)


def main(count: int, start: int = 0, family: str = "SD1", refiner: str | None = None) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair.of(Path(folder), family, refiner)
        worst = _lowest(pair, Path(folder) / "data", range(start, start + count))
    print(f"{count} requests of {family}, {refiner}; the lowest:", ", ".join(f"{r:.1f} ({n})" for r, n in worst))  # noqa: T201


def _lowest(pair: Pair, data: Path, numbers: range) -> list[tuple[float, int]]:
    worst: list[tuple[float, int]] = []
    with pair.served(data) as server:
        for number in numbers:
            request = pair.request(number)
            lowest = min(ratios(server, pair.painter, request))
            worst = sorted([*worst, (lowest, number)])[:20]
            if lowest < 60:
                print(number, f"{lowest:.1f}", request.body)  # noqa: T201
    return worst


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]), int(given[1]) if len(given) > 1 else 0, *given[2:4])
