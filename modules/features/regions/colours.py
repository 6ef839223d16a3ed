"""Regions by the colours of a picture.

Regional Prompter's region n has the hue that halving the circle gives: 0, 1/2, 1/4, 3/4, 1/8, 3/8 and so on, at half
saturation and half brightness. Here each place belongs to the region of the nearest hue, if it has a colour at all.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.features.regions.plan.areas import ColourPlace

# Of 255: what is paler or darker has no colour.
_PALE: Final = 64
_DARK: Final = 26


def region_hue(number: int) -> float:
    """The hue of region `number`, from 0, as a share of the circle."""
    if number == 0:
        return 0.0
    turns = 1 << number.bit_length()
    return (2 * number + 1 - turns) / turns


def colour_share(picture: Image.Image, place: ColourPlace) -> Tensor:
    """1 where the picture has the colour of the place, else 0: (1, 1, height, width)."""
    seen = np.asarray(picture.convert("RGB").convert("HSV"), dtype=np.float32)
    hue, saturation, value = torch.from_numpy(seen).permute(2, 0, 1)
    coloured = (saturation >= _PALE) & (value >= _DARK)
    if place.number is None:
        without: Tensor = (~coloured).float()[None, None]
        return without
    hues = torch.tensor([region_hue(number) for number in range(place.count)])
    away = (hue / 256 - hues[:, None, None]).abs()
    nearest = torch.minimum(away, 1 - away).argmin(0)
    own: Tensor = (coloured & (nearest == place.number)).float()[None, None]
    return own
