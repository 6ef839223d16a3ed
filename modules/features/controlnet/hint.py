"""From a unit's picture to the numbers that a control model reads.

Behaviour reproduced: sd-webui-controlnet 1.1.455. Sizes are (width, height).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from PIL import Image

from modules.features.controlnet.arrays import Floats, Grey, RgbArray, rgb_array, three_channels
from modules.features.controlnet.thinning import thinned
from modules.generation.masking import Box
from modules.generation.resizing import CROP_AND_RESIZE, JUST_RESIZE, RESIZE_AND_FILL, check_strip
from modules.pictures.size import Size

# A mask that is nowhere above the first, or everywhere at the second at least, masks nothing.
_EMPTY: Final = 5
_FULL: Final = 250
# Fewer colours than this and more than two: a map of labels, whose colours must not be mixed.
_LABELS: Final = 200
_DARK, _LIGHT = 16, 240


@dataclass(frozen=True, slots=True)
class ControlSource:
    """What a preprocessor gets: a picture, [height, width, 3], and its mask, [height, width], if it brings one."""

    picture: RgbArray
    mask: Grey | None = None


def control_source(image: Image.Image, mask: Image.Image | None, *, takes_mask: bool) -> ControlSource:
    """A unit's picture with what was painted on it.

    Where the preprocessor takes no mask, a mask that is neither empty nor full stands for the picture: somebody
    scribbled on the canvas.
    """
    picture = rgb_array(image)
    if mask is None:
        return ControlSource(picture)
    grey = np.array(mask.convert("RGB").resize(image.size, Image.Resampling.NEAREST).convert("L"))
    empty, full = bool((grey <= _EMPTY).all()), bool((grey >= _FULL).all())
    if takes_mask:
        return ControlSource(picture, None if empty else grey)
    return ControlSource(picture if empty or full else three_channels(grey))


def pixel_perfect_resolution(picture: RgbArray, target: Size, mode: int) -> int:
    """The resolution at which a preprocessor works on exactly the pixels that the pass will have."""
    height, width = map(int, picture.shape[:2])
    scales = target[1] / height, target[0] / width
    scale: float = min(scales) if mode == RESIZE_AND_FILL else max(scales)
    return round(scale * min(height, width))


def fit_map(found: RgbArray, size: Size, mode: int) -> RgbArray:
    """A map, [height, width, 3 or 4], at `size` by a resize mode: stretched, covering and cropped, fitted and filled.

    What is filled up has the median colour of the border, and is masked where the map has a mask. Raises RequestError
    for a strip that can't be covered with.
    """
    width, height = size
    if mode == JUST_RESIZE:
        return resized_map(found, size)
    have_height, have_width = found.shape[:2]
    scales = height / have_height, width / have_width
    scale = max(scales) if mode == CROP_AND_RESIZE else min(scales)
    wide, high = max(1, round(have_width * scale)), max(1, round(have_height * scale))
    if mode == CROP_AND_RESIZE:
        check_strip((have_width, have_height), (wide, high))
        grown = resized_map(found, (max(wide, width), max(high, height)))
        top, left = (grown.shape[0] - height) // 2, (grown.shape[1] - width) // 2
        return grown[top : top + height, left : left + width]
    border = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    colour = np.median(border, axis=0).astype(np.uint8)
    colour[3:] = 255
    inner = resized_map(found, (min(wide, width), min(high, height)))
    result = np.broadcast_to(colour, (height, width, found.shape[2])).copy()
    top, left = (height - inner.shape[0]) // 2, (width - inner.shape[1]) // 2
    result[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    return result


def resized_map(found: RgbArray, size: Size) -> RgbArray:
    """A map, [height, width, 3 or 4], stretched to `size` so that it stays the kind of map it is.

    Labels keep their colours, two colours stay two, lines of one pixel stay so thin, a mask stays black and white.
    """
    colours, mask = found[:, :, :3], found[:, :, 3:]
    result = colours
    if size != (found.shape[1], found.shape[0]):
        distinct = _distinct_colours(colours)
        binary = distinct == 2 and int(colours.min()) < _DARK and int(colours.max()) > _LIGHT
        how = _interpolation(colours, size, distinct)
        result = np.asarray(cv2.resize(colours, size, interpolation=how), dtype=np.uint8)
        if binary:
            result = three_channels(_rebinarised(result, thin=_is_one_pixel_wide(colours)))
        if mask.size:
            mask = np.asarray(cv2.resize(mask, size, interpolation=how), dtype=np.uint8)[:, :, None]
    if not mask.size:
        return result
    return np.concatenate([result, np.where(mask > 127, np.uint8(255), np.uint8(0))], axis=2)


def hint_of(found: RgbArray) -> Floats:
    """What a control model reads of a map at its final size: [3, height, width], 0 to 1, and -1 where it is masked."""
    hint = found[:, :, :3].astype(np.float32) / 255
    if found.shape[2] == 4:
        mask = (found[:, :, 3:] > 127).astype(np.float32)
        hint = hint * (1 - mask) - mask
    return np.ascontiguousarray(hint.transpose(2, 0, 1))


def region_weights(mask: Image.Image, size: Size, mode: int) -> Floats:
    """An effective region mask at `size`: [height, width], 0 to 1."""
    found = fit_map(three_channels(np.array(mask.convert("L"))), size, mode)
    return np.asarray(found[:, :, 0], dtype=np.float32) / np.float32(255)


def cropped_like_init(source: ControlSource, mask_size: Size, box: Box, size: Size, mode: int) -> ControlSource:
    """A unit's picture cut as the init picture is when only what is masked is inpainted.

    It is brought to the mask's size by `mode`, `box` (left, top, right, bottom) is cut out, and that is fitted into the
    pass's `size`.
    """
    left, top, right, bottom = box

    def cut(found: RgbArray, fit: Callable[[RgbArray, Size, int], RgbArray]) -> RgbArray:
        return fit(fit(found, mask_size, mode)[top:bottom, left:right], size, RESIZE_AND_FILL)

    whole = source.picture if source.mask is None else np.dstack([source.picture, source.mask])
    part = cut(whole, fit_map)
    return ControlSource(part[:, :, :3], None if source.mask is None else part[:, :, 3])


def _distinct_colours(colours: RgbArray) -> int:
    red, green, blue = (colours[:, :, channel].astype(np.uint32) for channel in range(3))
    seen = np.zeros(1 << 24, dtype=bool)
    seen[red << 16 | green << 8 | blue] = True
    return int(np.count_nonzero(seen))


def _interpolation(colours: RgbArray, size: Size, distinct: int) -> int:
    if 2 < distinct < _LABELS:
        return int(cv2.INTER_NEAREST)
    shrinks = size[0] * size[1] < colours.shape[0] * colours.shape[1]
    return int(cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def _is_one_pixel_wide(colours: RgbArray) -> bool:
    """Whether most of what is white vanishes under an opening by three pixels: lines of Canny's kind."""
    square = np.ones((3, 3), dtype=np.uint8)
    opened = np.asarray(cv2.dilate(cv2.erode(colours, square), square))
    return bool(2 * np.count_nonzero(opened < colours) > np.count_nonzero(colours > 127))


def _rebinarised(colours: RgbArray, *, thin: bool) -> Grey:
    """Black and white again, [height, width], cut by Otsu's method; lines of one pixel are thinned to one pixel.

    A1111 looks for ridges before it thins, which frays lines that grow: here they are only thinned.
    """
    grey = colours.astype(np.float32).mean(axis=2).astype(np.uint8)
    _, white = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    result = np.asarray(white, dtype=np.uint8)
    return thinned(result) if thin else result
