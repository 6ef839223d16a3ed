"""Where the blurred mask is black, no way of inpainting changes a bit: over random pictures, masks and sizes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from modules.features.soft_inpainting.run import SoftInpainting
from modules.generation.finishing import finished
from modules.generation.init_picture import prepare_init_picture
from modules.page.init_pictures import Masking, sketched
from modules.parameters import parse_request, resolve
from modules.parameters.job_options import JobOptions
from modules.pictures.masks import binary_mask, blur_mask
from modules.sampling import SoftBlend

sides = st.integers(9, 26).map(lambda cells: cells * 8)


def noise(size: tuple[int, int], seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8), "RGB")


@st.composite
def boxes(draw: st.DrawFn, size: tuple[int, int]) -> tuple[int, int, int, int]:
    left, top = draw(st.integers(0, size[0] - 1)), draw(st.integers(0, size[1] - 1))
    return left, top, draw(st.integers(left, size[0] - 1)), draw(st.integers(top, size[1] - 1))


@given(
    size=st.tuples(sides, sides),
    blur=st.integers(0, 24),
    inverted=st.integers(0, 1),
    painted_as=st.sampled_from(["drawn", "grey", "sketch"]),
    area=st.sampled_from(["whole", "masked"]),
    soft=st.booleans(),
    fill=st.integers(0, 3),
    padding=st.integers(0, 64),
    data=st.data(),
)
def test_no_bit_changes_outside_the_blurred_mask(
    size: Any,
    blur: int,
    inverted: int,
    painted_as: str,
    area: str,
    soft: bool,
    fill: int,
    padding: int,
    data: st.DataObject,
) -> None:
    picture = noise(size, 1)
    box = data.draw(boxes(size))
    mask: Image.Image = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rectangle(box, fill=data.draw(st.sampled_from([255, 200])))
    start = picture
    if painted_as == "drawn":
        drawn = Image.new("RGBA", size, (0, 0, 0, 0))
        ImageDraw.Draw(drawn).ellipse(box, fill=(255, 255, 255, 255))
        mask = drawn
    elif painted_as == "sketch":
        paint = Image.new("RGBA", size, (0, 0, 0, 0))
        ImageDraw.Draw(paint).rectangle(box, fill=(250, 20, 30, 255))
        start, mask = sketched(picture, paint, Masking(blur=blur, transparency=data.draw(st.sampled_from([0, 40]))))
        inverted = 0
    request = parse_request(
        {
            "mode": "img2img",
            "width": size[0] if area == "whole" else 64,
            "height": size[1] if area == "whole" else 96,
            "mask": "stored",
            "mask_blur_x": blur,
            "mask_blur_y": blur,
            "inpainting_mask_invert": inverted,
            "inpainting_fill": fill,
            "inpaint_full_res": area == "masked",
            "inpaint_full_res_padding": padding,
        }
    )
    resolved = resolve(request, options={}, rng=random.Random(0))
    source = prepare_init_picture(resolved, start, mask, rounded=not soft)
    if source.mask is None:
        return  # Nothing was painted: the whole picture is made anew, and that is said.
    over = None
    if soft:
        cells = torch.rand(request.height // 8, request.width // 8)
        before, after = torch.zeros(4, *cells.shape), torch.randn(4, *cells.shape)
        over = SoftInpainting(SoftBlend()).overlay_mask(cells, before, after, source, (request.width, request.height))
    result = finished(noise((request.width, request.height), 2), source, JobOptions.of({}), over).picture
    assert result.size == size
    grey = binary_mask(mask, rounded=not soft)
    reached = np.asarray(blur_mask(Image.eval(grey, lambda value: 255 - value) if inverted else grey, blur, blur))
    untouched = reached == 0
    assert (np.asarray(result)[untouched] == np.asarray(picture)[untouched]).all()
