"""Where faces are: RetinaFace over a ResNet-50, as in the file detection_Resnet50_Final.pth beside A1111's restorers.

"RetinaFace: Single-stage Dense Face Localisation in the Wild", arXiv:1905.00641; the names of layers, the anchors and
the decoding are those of facexlib, whose file it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from modules.upscaling.upscaler_errors import UpscalerError
from modules.weights.tensor_file import open_tensors

Numbers = npt.NDArray[np.float32]

_STEPS: Final = (8, 16, 32)
_ANCHORS: Final = ((16, 32), (64, 128), (256, 512))
_VARIANCES: Final = (0.1, 0.2)
# Mean blue, green and red of the pictures it was trained on.
_MEAN: Final = (104.0, 117.0, 123.0)
_CONFIDENCE: Final = 0.97
_OVERLAP: Final = 0.4
_SHORT_SIDE: Final = 640
_LONG_SIDE: Final = 4096
_SMALLEST_EYE_DISTANCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Face:
    """A face: its box (left, top, right, bottom), and eyes, nose and corners of the mouth, [5, 2], in pixels."""

    box: tuple[float, float, float, float]
    landmarks: Numbers


class _Bottleneck(nn.Module):
    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * 4
        self.conv1 = nn.Conv2d(inside, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != out:
            self.downsample = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        return functional.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class _Body(nn.Module):
    """ResNet-50 without its end; the three deeper stages are what is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, 3, 1)
        self.layer2 = _stage(256, 128, 4, 2)
        self.layer3 = _stage(512, 256, 6, 2)
        self.layer4 = _stage(1024, 512, 3, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        second = self.layer2(self.layer1(x))
        third = self.layer3(second)
        return [second, third, self.layer4(third)]


def _stage(inside: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Bottleneck(inside, width, stride)
    return nn.Sequential(first, *(_Bottleneck(width * 4, width, 1) for _ in range(blocks - 1)))


def _conv(inside: int, out: int, kernel: int = 3, *, relu: bool = True) -> nn.Sequential:
    layers = [nn.Conv2d(inside, out, kernel, 1, kernel // 2, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class _Pyramid(nn.Module):
    """Carries what the deeper stages saw up to the finer ones."""

    def __init__(self) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_conv(inside, 256, 1) for inside in (512, 1024, 2048))
        self.merge1, self.merge2 = _conv(256, 256), _conv(256, 256)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = self.output1(stages[0]), self.output2(stages[1]), self.output3(stages[2])
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """Looks at three sizes of surroundings (SSH, arXiv:1708.03979)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv3X3 = _conv(256, 128, relu=False)
        self.conv5X5_1, self.conv5X5_2 = _conv(256, 64), _conv(64, 64, relu=False)
        self.conv7X7_2, self.conv7x7_3 = _conv(64, 64), _conv(64, 64, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        wider = self.conv5X5_1(x)
        parts = [self.conv3X3(x), self.conv5X5_2(wider), self.conv7x7_3(self.conv7X7_2(wider))]
        return functional.relu(torch.cat(parts, dim=1))


class _Head(nn.Module):
    """`numbers` for each of the two anchors of each place."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.conv1x1 = nn.Conv2d(256, 2 * numbers, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv1x1(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.numbers)
        return result


class RetinaFace(nn.Module):
    """From [1, 3, height, width] to (offsets [n, 4], confidences [n], landmarks [n, 10]) for the n anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _Body()
        self.fpn = _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead = nn.ModuleList(_Head(2) for _ in _STEPS)
        self.BboxHead = nn.ModuleList(_Head(4) for _ in _STEPS)
        self.LandmarkHead = nn.ModuleList(_Head(10) for _ in _STEPS)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.fpn(self.body(x))
        seen = [look(level) for look, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        outputs = [
            torch.cat([head(one) for head, one in zip(heads, seen, strict=True)], dim=1)[0]
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        ]
        return outputs[0], outputs[1].softmax(-1)[:, 1], outputs[2]

    @torch.inference_mode()
    def faces(self, image: Image.Image) -> list[Face]:
        """The faces of a picture, surest first; tiny ones and profiles, whose eyes are close together, are left out."""
        small, scale = _looked_at(image)
        pixels = np.asarray(small, dtype=np.float32)[:, :, ::-1] - np.array(_MEAN, np.float32)
        tensor = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]
        parts = self(tensor.to(next(self.parameters()).device))
        offsets, confidences, landmarks = (part.float().cpu().numpy() for part in parts)
        return [
            Face(_box(side * scale for side in face.box), face.landmarks * scale)
            for face in decoded(offsets, confidences, landmarks, small.size)
            if np.linalg.norm(face.landmarks[0] - face.landmarks[1]) * scale >= _SMALLEST_EYE_DISTANCE
        ]


def _looked_at(image: Image.Image) -> tuple[Image.Image, float]:
    """The picture at the size it is looked at, and by how much it was shrunk."""
    scale = max(min(image.size) / _SHORT_SIDE, max(image.size) / _LONG_SIDE)
    size = max(1, int(image.width / scale)), max(1, int(image.height / scale))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS), scale


def anchors(size: tuple[int, int]) -> Numbers:
    """[n, 4]: centre, width and height of every anchor of a picture of `size`, as shares of its sides."""
    width, height = size
    found = []
    for step, sides in zip(_STEPS, _ANCHORS, strict=True):
        rows, columns = -(-height // step), -(-width // step)
        y, x, side = np.meshgrid(np.arange(rows), np.arange(columns), np.array(sides), indexing="ij")
        centres = ((x + 0.5) * step / width, (y + 0.5) * step / height)
        found.append(np.stack([*centres, side / width, side / height], axis=-1).reshape(-1, 4))
    return np.concatenate(found).astype(np.float32)


def decoded(offsets: Numbers, confidences: Numbers, landmarks: Numbers, size: tuple[int, int]) -> list[Face]:
    """The faces that the network's numbers mean in a picture of `size`, each once."""
    sure = np.flatnonzero(confidences > _CONFIDENCE)
    sure = sure[np.argsort(-confidences[sure], kind="stable")]
    centre, extent = np.split(anchors(size)[sure], 2, axis=1)
    middle = centre + offsets[sure, :2] * _VARIANCES[0] * extent
    half = extent * np.exp(offsets[sure, 2:] * _VARIANCES[1]) / 2
    sides = np.array(size, np.float32)
    boxes = np.concatenate([(middle - half) * sides, (middle + half) * sides], axis=1)
    points = landmarks[sure].reshape(-1, 5, 2) * _VARIANCES[0] * extent[:, None] + centre[:, None]
    return [Face(_box(boxes[index]), points[index] * sides) for index in _once(boxes)]


def _box(sides: Iterable[float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(side) for side in sides)
    return left, top, right, bottom


def _once(boxes: Numbers) -> list[int]:
    """Indexes of the boxes, surest first, that do not overlap a surer one."""
    selected: list[int] = []
    for index, box in enumerate(boxes):
        if all(_overlap(box, boxes[other]) <= _OVERLAP for other in selected):
            selected.append(index)
    return selected


def _overlap(one: Numbers, two: Numbers) -> float:
    sides = np.minimum(one[2:], two[2:]) - np.maximum(one[:2], two[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    areas = sum(float(np.prod(box[2:] - box[:2])) for box in (one, two))
    return shared / (areas - shared) if areas > shared else 1.0


def load_detector(path: Path) -> RetinaFace:
    """The face detector in `path`. Raises ModelFileError with one sentence."""
    net = RetinaFace()
    with open_tensors(path) as file:
        weights = {name.removeprefix("module."): file.tensor(name) for name in file.shapes}
        try:
            net.load_state_dict(weights)
        except RuntimeError as error:
            raise UpscalerError(f"{path.name} is not the face detector that its name says: fetch it again.") from error
    net.eval().requires_grad_(False)
    return net
