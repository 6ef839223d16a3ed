"""Depth and normals by MiDaS 3.0 hybrid (Ranftl et al. 2021, MIT), from its own file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch

from modules.features.controlnet.arrays import Floats, Grey, RgbArray, cut_to_bytes
from modules.features.controlnet.preprocessors.nets.loading import as_batch, as_plane, device_of, load_net
from modules.weights.depth import midas_depth, midas_names, midas_net

if TYPE_CHECKING:
    from transformers import DPTForDepthEstimation

# How steep the depth is taken to be where normals are made of it.
_DEEP: Final = 2 * np.pi


def load_midas(path: Path, device: torch.device) -> DPTForDepthEstimation:
    """dpt_hybrid-midas-501f0c75.pt. Raises ModelFileError."""
    return load_net(path, midas_net, device, midas_names)


def midas_map(net: DPTForDepthEstimation, picture: RgbArray) -> Grey:
    """How near everything is, [height, width]: the nearest white, the farthest black."""
    return cut_to_bytes(_near(_depth(net, picture)) * 255)


def midas_normals(net: DPTForDepthEstimation, picture: RgbArray, background: float) -> RgbArray:
    """Which way surfaces look, [height, width, 3], as the slopes of the depth say; what is farther than `background`,
    0 to 1, looks straight at us."""
    depth = _depth(net, picture)
    far = _near(depth) < background
    across, down = (np.asarray(cv2.Sobel(depth, cv2.CV_32F, *axis, ksize=3)) for axis in ((1, 0), (0, 1)))
    normals = np.stack([np.where(far, 0, across), np.where(far, 0, down), np.full_like(depth, _DEEP)], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    # Blue first, as models were trained.
    return np.ascontiguousarray(cut_to_bytes(normals * 127.5 + 127.5)[:, :, ::-1])


def _depth(net: DPTForDepthEstimation, picture: RgbArray) -> Floats:
    """[height, width] of any range. Sides are multiples of 32."""
    return as_plane(midas_depth(net, as_batch(picture, device_of(net)) / 127.5 - 1))


def _near(depth: Floats) -> Floats:
    from_zero = depth - depth.min()
    return np.asarray(from_zero / (float(from_zero.max()) or 1.0), dtype=np.float32)
