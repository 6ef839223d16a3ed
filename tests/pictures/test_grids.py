"""Grids in A1111's arrangement."""

from typing import Any

import pytest
from PIL import Image

from modules.parameters.output_options import GridOptions
from modules.pictures import grid_shape, image_grid
from modules.settings.groups import read_options


@pytest.mark.parametrize(
    ("count", "batch", "options", "shape"),
    [
        (1, 1, {}, (1, 1)),
        (2, 1, {}, (1, 2)),
        (3, 1, {}, (2, 2)),
        (4, 1, {}, (2, 2)),
        (5, 1, {}, (2, 3)),
        (6, 1, {}, (2, 3)),
        (7, 1, {}, (3, 3)),
        (12, 1, {}, (3, 4)),
        (6, 2, {"n_rows": 0}, (2, 3)),
        (6, 1, {"n_rows": 3}, (3, 2)),
        (2, 1, {"n_rows": 16}, (2, 1)),
        (7, 1, {"grid_prevent_empty_spots": True}, (1, 7)),
        (12, 1, {"grid_prevent_empty_spots": True}, (3, 4)),
        (10, 1, {"grid_prevent_empty_spots": True}, (2, 5)),
    ],
)
def test_shapes(count: int, batch: int, options: dict[str, Any], shape: tuple[int, int]) -> None:
    assert grid_shape(count, batch, read_options(GridOptions, options)) == shape


def test_pictures_lie_row_by_row_and_empty_cells_show_the_background() -> None:
    colours = ["#ff0000", "#00ff00", "#0000ff"]
    grid = image_grid(
        [Image.new("RGB", (4, 2), colour) for colour in colours], 1, GridOptions(background_color="#010203")
    )
    assert grid.size == (8, 4)
    assert [grid.getpixel(at) for at in ((0, 0), (7, 0), (0, 3), (7, 3))] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (1, 2, 3),
    ]


def test_smaller_pictures_are_centred() -> None:
    grid = image_grid([Image.new("RGB", (4, 4), "black"), Image.new("RGB", (2, 2), "red")], 1, GridOptions())
    assert grid.size == (8, 4)
    assert grid.getpixel((5, 1)) == (255, 0, 0) and grid.getpixel((4, 0)) == (255, 255, 255)


@pytest.mark.parametrize("colour", ["nonsense", "", "#ffffff80"])
def test_a_colour_that_is_none_is_white(colour: str) -> None:
    pictures = [Image.new("RGB", (1, 1), "black")] * 3
    assert image_grid(pictures, 1, GridOptions(background_color=colour)).getpixel((1, 1)) == (255, 255, 255)
