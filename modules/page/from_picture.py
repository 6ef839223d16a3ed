"""From the form's values and a picture to a request."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from modules.page.form import RESIZE_BY, SCALE, SIZE_FROM, request_from
from modules.page.img2img import MODE
from modules.page.init_pictures import CanvasPicture
from modules.parameters import GenerationRequest, RequestError


def with_source(
    named: Mapping[str, Any], source: CanvasPicture, *, masked: bool
) -> tuple[GenerationRequest, dict[str, bytes]]:
    """The request behind the form's values and a source, with the pictures it refers to. Raises RequestError."""
    values = dict(named)
    if values.get(SIZE_FROM) == RESIZE_BY:
        values["width"], values["height"] = scaled(source.size, values.get(SCALE))
    if not masked:
        values = {name: value for name, value in values.items() if not name.startswith(("inpaint", "mask_"))}
    files = [source.picture] if source.mask is None else [source.picture, source.mask]
    names = [hashlib.sha256(data).hexdigest() for data in files]
    # Not among the form's values: those are a person's, these are ours.
    request = request_from(MODE, values).model_copy(
        update={"init_images": (names[0],), "mask": names[1] if source.mask is not None else None}
    )
    return request, dict(zip(names, files, strict=True))


def scaled(size: Sequence[int], scale: object) -> tuple[int, int]:
    """A picture's size times `scale`, cut to whole latent cells as A1111 does. Raises RequestError for no scale."""
    if not isinstance(scale, int | float) or not 0 < scale <= 16:
        raise RequestError("Scale is empty: give it a value between 0.05 and 4.")
    width, height = (max(64, int(side * scale) // 8 * 8) for side in size)
    return width, height
