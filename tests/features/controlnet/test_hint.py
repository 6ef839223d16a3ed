"""From a picture to the numbers that a control model reads."""

import cv2
import numpy as np
import pytest
from PIL import Image

from modules.features.controlnet.arrays import RgbArray, rgb_array
from modules.features.controlnet.hint import (
    ControlSource,
    control_source,
    cropped_like_init,
    fit_map,
    hint_of,
    pixel_perfect_resolution,
    region_weights,
    resized_map,
)
from modules.features.controlnet.thinning import thinned

STRETCH, CROP, FILL = 0, 1, 2


def plane(height: int, width: int, colour: tuple[int, ...] = (10, 20, 30)) -> RgbArray:
    return np.full((height, width, len(colour)), colour, dtype=np.uint8)


def colourful(height: int, width: int) -> RgbArray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_transparent_pictures_lie_on_white() -> None:
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((0, 0), (255, 0, 0, 255))
    assert rgb_array(clear)[0].tolist() == [[255, 0, 0], [255, 255, 255]]
    assert rgb_array(Image.new("L", (1, 1), 7))[0].tolist() == [[7, 7, 7]]


def test_a_scribble_stands_for_the_picture_unless_it_is_empty_or_full() -> None:
    image, scribble = Image.new("RGB", (8, 8), (1, 2, 3)), Image.new("L", (8, 8))
    scribble.putpixel((3, 3), 255)
    drawn = control_source(image, scribble, takes_mask=False)
    assert drawn.picture[3, 3].tolist() == [255, 255, 255] and drawn.picture.sum() == 3 * 255
    for grey in (0, 5, 250, 255):
        assert (control_source(image, Image.new("L", (8, 8), grey), takes_mask=False).picture == (1, 2, 3)).all()


def test_an_inpaint_unit_takes_the_mask_as_a_mask() -> None:
    image, mask = Image.new("RGB", (8, 8), (1, 2, 3)), Image.new("L", (4, 4), 255)
    source = control_source(image, mask, takes_mask=True)
    assert (source.picture == (1, 2, 3)).all()
    assert source.mask is not None and source.mask.shape == (8, 8) and (source.mask == 255).all()
    assert control_source(image, Image.new("L", (8, 8), 4), takes_mask=True).mask is None


@pytest.mark.parametrize(("mode", "resolution"), [(STRETCH, 512), (CROP, 512), (FILL, 256)])
def test_pixel_perfect(mode: int, resolution: int) -> None:
    # 100 x 200 pixels (width x height) for a pass of 512 x 512: k is 5.12 or 2.56.
    assert pixel_perfect_resolution(plane(200, 100), (512, 512), mode) == resolution


def test_just_resize_stretches_by_areas_or_bicubically() -> None:
    picture = colourful(64, 64)
    smaller, larger = fit_map(picture, (32, 16), STRETCH), fit_map(picture, (96, 128), STRETCH)
    assert (smaller == cv2.resize(picture, (32, 16), interpolation=cv2.INTER_AREA)).all()
    assert (larger == cv2.resize(picture, (96, 128), interpolation=cv2.INTER_CUBIC)).all()


def test_few_colours_are_labels_and_are_not_mixed() -> None:
    labels = np.repeat(np.repeat(colourful(4, 4), 16, 0), 16, 1)
    found = fit_map(labels, (40, 24), STRETCH)
    assert {tuple(one) for one in found.reshape(-1, 3)} <= {tuple(one) for one in labels.reshape(-1, 3)}


def test_crop_and_resize_cuts_the_middle_out() -> None:
    picture = colourful(64, 128)
    found = fit_map(picture, (64, 64), CROP)
    assert (found == picture[:, 32:96]).all()


def test_resize_and_fill_centres_on_the_borders_median_colour() -> None:
    picture = plane(64, 128, (10, 20, 30))
    picture[20:40, 40:80] = 200
    picture[0, :5] = 255
    found = fit_map(picture, (128, 128), FILL)
    assert found.shape == (128, 128, 3)
    assert (found[:32] == (10, 20, 30)).all() and (found[96:] == (10, 20, 30)).all()
    assert (found[32:96] == picture).all()


def test_what_is_filled_up_is_masked() -> None:
    picture = np.dstack([colourful(64, 128), np.zeros((64, 128), np.uint8)])
    found = fit_map(picture, (128, 128), FILL)
    assert (found[:32, :, 3] == 255).all() and (found[32:96, :, 3] == 0).all()


@pytest.mark.parametrize("mode", [STRETCH, CROP, FILL])
@pytest.mark.parametrize("size", [(8, 8), (104, 56), (56, 104), (512, 8)])
@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 301, 3), (301, 7, 4), (64, 64, 4)])
def test_every_size_comes_out_as_it_should(mode: int, size: tuple[int, int], shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)
    found = fit_map(picture, size, mode)
    assert found.shape == (size[1], size[0], shape[2])
    if shape[2] == 4:
        assert set(np.unique(found[:, :, 3])) <= {0, 255}


def canny_like() -> RgbArray:
    found = np.zeros((128, 128), np.uint8)
    cv2.circle(found, (64, 64), 40, 255, 1)
    cv2.line(found, (0, 10), (127, 30), 255, 1)
    return np.dstack([found] * 3)


@pytest.mark.parametrize("side", [64, 96, 200, 512])
def test_lines_of_one_pixel_stay_binary_and_thin(side: int) -> None:
    found = resized_map(canny_like(), (side, side))
    assert set(np.unique(found)) == {0, 255}
    white = found[:, :, 0] > 0
    # Lines as long as before, scaled, and one pixel wide: no block of 2 x 2 pixels is white.
    assert white.sum() == pytest.approx((canny_like()[:, :, 0] > 0).sum() * side / 128, rel=0.35)
    blocks = white[1:, 1:] & white[:-1, 1:] & white[1:, :-1] & white[:-1, :-1]
    assert blocks.mean() < 0.0005


def test_two_colours_in_broad_areas_stay_two() -> None:
    found = resized_map(
        thick := np.where(np.indices((64, 64))[1:].transpose(1, 2, 0) > 30, 255, 0).astype(np.uint8).repeat(3, 2),
        (200, 200),
    )
    assert thick.shape == (64, 64, 3)
    assert set(np.unique(found)) == {0, 255}
    assert (found > 0).mean() == pytest.approx((thick > 0).mean(), abs=0.02)


def test_thinning_leaves_one_connected_line() -> None:
    stroke = np.zeros((40, 60), np.uint8)
    stroke[15:24, 5:55] = 255
    found = thinned(stroke)
    assert 0 < np.count_nonzero(found) <= 60
    assert cv2.connectedComponents(found, connectivity=8)[0] == 2
    assert (found <= stroke).all()
    assert (thinned(found) == found).all()


def test_hints_are_planes_of_0_to_1_and_minus_1_where_masked() -> None:
    picture = plane(2, 2, (255, 0, 51, 0))
    picture[0, 0, 3] = 255
    hint = hint_of(picture)
    assert hint.shape == (3, 2, 2) and hint.dtype == np.float32
    assert hint[:, 0, 0].tolist() == [-1, -1, -1]
    assert hint[:, 1, 1].tolist() == pytest.approx([1, 0, 0.2])
    assert hint_of(plane(2, 2, (255, 0, 51)))[:, 0, 0].tolist() == pytest.approx([1, 0, 0.2])


def test_region_weights_follow_the_resize_mode() -> None:
    mask = Image.new("L", (64, 32))
    mask.paste(255, (0, 0, 32, 32))
    weights = region_weights(mask, (64, 32), STRETCH)
    assert weights.shape == (32, 64) and weights[:, :32].min() == 1 and weights[:, 32:].max() == 0
    assert region_weights(mask, (32, 32), CROP)[:, :16].min() == 1


def test_only_masked_cuts_the_units_picture_like_the_init_picture() -> None:
    picture = colourful(64, 64)
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    part = cropped_like_init(ControlSource(picture, mask), (128, 128), (32, 32, 96, 96), (64, 64), STRETCH)
    enlarged = cv2.resize(picture, (128, 128), interpolation=cv2.INTER_CUBIC)
    assert (part.picture == enlarged[32:96, 32:96]).all()
    assert part.mask is not None and (part.mask == 255).all()
    assert cropped_like_init(ControlSource(picture), (64, 64), (0, 0, 32, 64), (64, 64), STRETCH).mask is None
