"""The user's YOLO files in PyTorch: the net of their tree of modules, and what its heads say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from modules.features.controlnet.arrays import RgbArray
from modules.features.detail.detectors.detection import Detection, DetectorError
from modules.features.detail.detectors.yolo import decoded, letterboxed
from modules.features.detail.detectors.yolo_file import ModuleNode, read_yolo
from modules.features.detail.detectors.yolo_layers import Chain, Prototypes, UnknownLayerError, build, layer

_SIDE: Final = 640
_HEADS: Final = ("Detect", "Segment")
_SIDES: Final = 4
_MISFITS: Final = (KeyError, ValueError, TypeError, IndexError, RuntimeError, ZeroDivisionError)


class Head(nn.Module):
    """From three maps to [4 + classes (+ coefficients), places]: middle, width and height in pixels, scores of 0 to 1.

    Distances to the four sides are the mean of a distribution over bins (Li et al. 2020, "Generalized focal loss").
    """

    def __init__(self, node: ModuleNode) -> None:
        super().__init__()
        self.boxes, self.scores = _parts(node.children["cv2"]), _parts(node.children["cv3"])
        self.mixes = _parts(node.children["cv4"]) if "cv4" in node.children else None
        self.prototypes = Prototypes(node.children["proto"]) if "proto" in node.children else None

    def forward(self, maps: Sequence[Tensor], side: int) -> tuple[Tensor, Tensor | None]:
        found = []
        for level, x in enumerate(maps):
            parts = [_sized(self.boxes[level](x), side / x.shape[-1]), self.scores[level](x).sigmoid().flatten(2)]
            if self.mixes is not None:
                parts.append(self.mixes[level](x).flatten(2))
            found.append(torch.cat(parts, dim=1))
        prototypes = None if self.prototypes is None else self.prototypes(maps[0])[0]
        return torch.cat(found, dim=2)[0], prototypes


class YoloNet(nn.Module):
    """A YOLO of version 8, 9 or 11 from its file's tree; [1, 3, side, side] of 0 to 1 to what its head says."""

    def __init__(self, nodes: Sequence[ModuleNode]) -> None:
        super().__init__()
        *body, head = nodes
        if head.kind not in _HEADS:
            raise UnknownLayerError(head.kind or "unnamed")
        self.sources = [node.sources for node in nodes]
        self.joins = [node.kind == "Concat" for node in body]
        self.layers = nn.ModuleList(nn.Identity() if node.kind == "Concat" else layer(node) for node in body)
        self.head = Head(head)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        found: list[Tensor] = []
        side = x.shape[-1]
        for sources, joins, part in zip(self.sources, self.joins, self.layers, strict=False):
            inputs = [found[source] if found else x for source in sources]
            found.append(torch.cat(inputs, dim=1) if joins else part(inputs[0]))
        answer: tuple[Tensor, Tensor | None] = self.head([found[source] for source in self.sources[-1]], side)
        return answer


class YoloDetector:
    """A YOLO file's net, ready to find things; it computes where its `module` lies.

    Raises:
        UnsafePickleError: the file contains what could run code.
        ModelFileError: it is damaged, or of a kind that isn't known.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        nodes, self._names = read_yolo(path)
        try:
            self.module = YoloNet(nodes).eval()
        except UnknownLayerError as error:
            raise DetectorError(
                f"{path.name} has layers of the kind {error}, which aren't known here: versions 8, 9 and 11 are; "
                "others work as .onnx."
            ) from error
        except _MISFITS as error:
            raise DetectorError(f"{path.name} is damaged: its layers don't fit together.") from error

    @torch.inference_mode()
    def __call__(self, picture: RgbArray, confidence: float) -> list[Detection]:
        """What is found at `confidence` or above, the surest first. Raises DetectorError."""
        seen = letterboxed(picture, _SIDE)
        try:
            device = next(self.module.parameters()).device
            output, prototypes = self.module(torch.from_numpy(seen.values).to(device))
        except _MISFITS as error:
            raise DetectorError(f"{self._name} is damaged: its layers don't fit together.") from error
        planes = None if prototypes is None else np.asarray(prototypes.cpu().numpy())
        return decoded(output.cpu().numpy(), planes, seen, picture, self._names, confidence)


def _parts(node: ModuleNode) -> nn.ModuleList:
    chain = build(node)
    if not isinstance(chain, Chain):
        raise UnknownLayerError("head")
    return chain.parts


def _sized(distances: Tensor, stride: float) -> Tensor:
    """[1, 4, places] of middles and sizes in pixels, of [1, 4 x bins, height, width]."""
    _, channels, height, width = distances.shape
    bins = channels // _SIDES
    shares = distances.view(1, _SIDES, bins, height * width).softmax(dim=2)
    steps = torch.arange(bins, dtype=shares.dtype, device=shares.device)[:, None]
    left, top, right, bottom = (shares * steps).sum(dim=2).unbind(dim=1)
    rows, columns = torch.meshgrid(
        torch.arange(height, device=shares.device), torch.arange(width, device=shares.device), indexing="ij"
    )
    x, y = columns.flatten() + 0.5, rows.flatten() + 0.5
    middles = [x + (right - left) / 2, y + (bottom - top) / 2]
    return torch.stack([*middles, left + right, top + bottom], dim=1) * stride
