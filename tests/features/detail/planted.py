"""A detector's file that finds the same boxes in every picture: what stands in it is known, whatever is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.features.onnx_writer import model, node

_SIDE = 64
_CELLS = 64


def plant(path: Path, boxes: Sequence[tuple[float, float, float, float]], confidence: float = 0.9) -> None:
    """A YOLO whose answer is these boxes (left, top, right, bottom) as shares of a square picture; earlier ones are
    surer.
    """
    answers = np.zeros((1, 5, _CELLS), np.float32)
    for number, (left, top, right, bottom) in enumerate(boxes):
        middle = ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
        answers[0, :, number] = [*(side * _SIDE for side in middle), confidence - number / 100]
    kernel = np.zeros((5, 3, 8, 8), np.float32)
    nodes = [
        node("Conv", ["images", "kernel"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        node("Reshape", ["cells", "shape"], ["flat"]),
        node("Add", ["flat", "answers"], ["output0"]),
    ]
    weights: dict[str, np.ndarray] = {"kernel": kernel, "shape": np.array([1, 5, -1], np.int64), "answers": answers}
    metadata = {"names": "{0: 'face'}", "imgsz": f"[{_SIDE}, {_SIDE}]"}
    content = model(nodes, weights, {"images": (1, 3, _SIDE, _SIDE)}, {"output0": (1, 5, _CELLS)}, metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
