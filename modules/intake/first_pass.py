"""A finished picture in the place of a hires job's first pass."""

from __future__ import annotations

from modules.parameters import RequestError
from modules.parameters.request import MAXIMUM_SIDE
from modules.pictures import PictureError
from modules.pictures.opening import picture_size

_SMALLEST = 64


def first_pass_size(picture: bytes) -> dict[str, int]:
    """Width and height of the pass that `picture` stands for, in whole latent cells. Raises RequestError."""
    try:
        sides = picture_size(picture, "The picture")
    except PictureError as error:
        raise RequestError(str(error)) from error
    if not all(_SMALLEST <= side <= MAXIMUM_SIDE for side in sides):
        size_text = f"The picture is {sides[0]}x{sides[1]}"
        raise RequestError(f"{size_text}: a hires pass takes sides from {_SMALLEST} to {MAXIMUM_SIDE}.")
    width, height = (side // 8 * 8 for side in sides)
    return {"width": width, "height": height}
