"""Restoring faces: each is turned upright into a square of 512 pixels, restored there, and put back.

Template, colours and the width of the soft edge are facexlib's, which A1111 uses; the edge is a square one, for the
parsing network that could follow a face's outline is not among the files that have to be there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFilter

from modules.upscaling.model import PictureModel
from modules.upscaling.retinaface import Face

SIDE: Final = 512
# Where eyes, nose and corners of the mouth of an upright face lie in the square (FFHQ).
TEMPLATE: Final = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
_OUTSIDE: Final = (132, 133, 135)
_EDGE: Final = SIDE // 20
_BLUR: Final = 8.0

Matrix = npt.NDArray[np.float64]
Restore = Callable[[Image.Image], Image.Image]


def restore_faces(image: Image.Image, faces: Sequence[Face], restore: Restore) -> Image.Image:
    """`image` with each of `faces` replaced by what `restore` makes of its upright square."""
    result = image.convert("RGB").copy()
    for face in faces:
        matrix = upright(face.landmarks.astype(np.float64))
        square = _warped(image.convert("RGB"), (SIDE, SIDE), _inverse(matrix), _OUTSIDE)
        _put_back(result, restore(square), matrix)
    return result


def upright(landmarks: Matrix) -> Matrix:
    """The [2, 3] matrix of turn, scale and shift that brings `landmarks`, [5, 2], nearest to the template.

    Least squares (Umeyama 1991) instead of OpenCV's least median: the five points of a face are all good ones.
    """
    source, target = landmarks - landmarks.mean(0), TEMPLATE - TEMPLATE.mean(0)
    power = (source**2).sum()
    if power == 0:
        return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    cosine = (source * target).sum() / power
    sine = (source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum() / power
    turn = np.array([[cosine, -sine], [sine, cosine]])
    shift = TEMPLATE.mean(0) - turn @ landmarks.mean(0)
    return np.column_stack([turn, shift])


def restorer(model: PictureModel, weight: float) -> Restore:
    """What restores one square. `weight` is CodeFormer's: 0 the strongest, 1 the most faithful."""

    @torch.inference_mode()
    def restore(square: Image.Image) -> Image.Image:
        pixels = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        net = model.net.model
        if model.architecture == "CodeFormer":
            result = net(pixels.to(model.device, model.dtype), weight=weight)[0]
        elif model.architecture == "GFPGAN":
            # The noise that is stored in the file instead of fresh one: the same picture each time.
            result = net(pixels.to(model.device, model.dtype), return_rgb=False, randomize_noise=False)[0]
        else:
            result = net(pixels.to(model.device, model.dtype))[0]
        bytes_ = (result.reshape(3, SIDE, SIDE).float().cpu().nan_to_num().clamp(-1, 1) + 1) * 127.5
        return Image.fromarray(bytes_.round().byte().permute(1, 2, 0).contiguous().numpy())

    return restore


def _put_back(image: Image.Image, square: Image.Image, matrix: Matrix) -> None:
    """Paste a restored square where it came from; only the part of `image` that it covers is touched."""
    corners = np.array([[0, 0], [SIDE, 0], [SIDE, SIDE], [0, SIDE]], dtype=np.float64)
    back = _inverse(matrix)
    places = corners @ back[:, :2].T + back[:, 2]
    left, top = (max(0, int(np.floor(low))) for low in places.min(0))
    right, bottom = (min(side, int(np.ceil(high)) + 1) for side, high in zip(image.size, places.max(0), strict=True))
    if right <= left or bottom <= top:
        return
    there = matrix.copy()
    there[:, 2] += there[:, :2] @ np.array([left, top], dtype=np.float64)
    size = right - left, bottom - top
    mask = _warped(_soft_square(), size, there, 0)
    image.paste(_warped(square, size, there, _OUTSIDE), (left, top), mask)


def _soft_square() -> Image.Image:
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).rectangle((_EDGE, _EDGE, SIDE - 1 - _EDGE, SIDE - 1 - _EDGE), fill=255)
    return mask.filter(ImageFilter.GaussianBlur(_BLUR))


def _inverse(matrix: Matrix) -> Matrix:
    turn = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turn, -turn @ matrix[:, 2]])


def _warped(image: Image.Image, size: tuple[int, int], matrix: Matrix, outside: int | tuple[int, ...]) -> Image.Image:
    """`image` as seen through `matrix`, which leads from a pixel of the result to one of `image`, centre to centre."""
    # Pillow counts from the corner of a pixel.
    shift = matrix[:, 2] + 0.5 - matrix[:, :2].sum(1) / 2
    numbers = (*matrix[0, :2], shift[0], *matrix[1, :2], shift[1])
    return image.transform(
        size, Image.Transform.AFFINE, tuple(map(float, numbers)), Image.Resampling.BILINEAR, fillcolor=outside
    )
