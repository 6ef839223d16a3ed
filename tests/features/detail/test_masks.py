"""From finds to masks: each operation by itself, and their order."""

import numpy as np
import pytest

from modules.features.detail.declare import DetailTab
from modules.features.detail.detectors.detection import Detection
from modules.features.detail.masks import (
    SDXL_SIZES,
    box_of,
    dilated,
    free_size,
    masks_of,
    meets,
    trained_size,
    weaker,
)

SIZE = (100, 80)
SMALL = Detection(box=(70, 10, 80, 20), confidence=0.9, label="face")
LARGE = Detection(box=(10, 20, 50, 60), confidence=0.5, label="hand")
MIDDLE = Detection(box=(40, 35, 60, 45), confidence=0.7, label="face")
FOUND = [SMALL, LARGE, MIDDLE]


def tab(**values: object) -> DetailTab:
    return DetailTab.read({"ad_model": "planted.onnx", "ad_dilate_erode": 0, **values})


def boxes(order: str = "None", **values: object) -> list[tuple[float, ...]]:
    return [one.box for one in masks_of(FOUND, tab(**values), SIZE, order)]


def test_what_is_too_small_or_too_large_for_the_picture_is_left_out() -> None:
    # 100, 1600 and 200 of 8000 pixels.
    assert boxes(ad_mask_min_ratio=0.02) == [LARGE.box, MIDDLE.box]
    assert boxes(ad_mask_max_ratio=0.15) == [SMALL.box, MIDDLE.box]


def test_the_first_k_are_the_largest_or_the_surest_of_those_that_are_left() -> None:
    assert boxes(ad_mask_k=2) == [LARGE.box, MIDDLE.box]
    assert boxes(ad_mask_k=2, ad_mask_filter_method="Confidence") == [SMALL.box, MIDDLE.box]
    assert boxes(ad_mask_k=1, ad_mask_max_ratio=0.15) == [MIDDLE.box]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("None", FOUND),
        ("Position (left to right)", [LARGE, MIDDLE, SMALL]),
        ("Position (center to edge)", [MIDDLE, LARGE, SMALL]),
        ("Area (large to small)", [LARGE, MIDDLE, SMALL]),
    ],
)
def test_masks_stand_in_the_order_of_the_setting(order: str, expected: list[Detection]) -> None:
    assert boxes(order) == [one.box for one in expected]


def test_classes_that_a_tab_names_are_the_only_ones() -> None:
    assert boxes(ad_model_classes="Face, cat") == [SMALL.box, MIDDLE.box]


def test_masks_are_moved_to_the_right_and_up_and_come_in_again_on_the_other_side() -> None:
    (mask,) = masks_of([SMALL], tab(ad_x_offset=25, ad_y_offset=5, ad_dilate_erode=3), SIZE, "None")
    wanted = np.zeros((80, 100), np.uint8)
    wanted[4:16, 94:] = wanted[4:16, :6] = 255
    np.testing.assert_array_equal(mask.pixels, wanted)


def test_dilating_adds_and_eroding_takes_from_each_side() -> None:
    mask = SMALL.mask(100, 80)
    assert box_of(dilated(mask, 5)) == (68, 8, 82, 22)
    assert box_of(dilated(mask, -5)) == (72, 12, 78, 18)
    assert not dilated(mask, -11).any()


def test_what_erosion_leaves_nothing_of_is_left_out() -> None:
    assert boxes(ad_dilate_erode=-12) == [LARGE.box]


def test_merged_masks_are_one_and_inverted_everything_else() -> None:
    union = np.zeros((80, 100), np.uint8)
    for one in FOUND:
        union |= one.mask(100, 80)
    (merged,) = masks_of(FOUND, tab(ad_mask_merge_invert="Merge"), SIZE, "None")
    np.testing.assert_array_equal(merged.pixels, union)
    assert merged.box == (10, 10, 80, 60)
    (inverted,) = masks_of(FOUND, tab(ad_mask_merge_invert="Merge and Invert"), SIZE, "None")
    np.testing.assert_array_equal(inverted.pixels, 255 - union)
    whole = Detection(box=(0, 0, 100, 80), confidence=1, label="")
    assert masks_of([whole], tab(ad_mask_merge_invert="Merge and Invert"), SIZE, "None") == []
    assert masks_of([], tab(ad_mask_merge_invert="Merge and Invert"), SIZE, "None") == []


def test_masks_meet_where_they_share_a_pixel() -> None:
    assert meets(LARGE.mask(100, 80), MIDDLE.mask(100, 80))
    assert not meets(LARGE.mask(100, 80), SMALL.mask(100, 80))


def test_strength_falls_with_the_share_of_the_picture() -> None:
    assert weaker(0.4, LARGE.box, SIZE, 2) == pytest.approx(0.4 * 0.8**2)
    assert weaker(0.4, LARGE.box, SIZE, -1) == pytest.approx(0.5)
    assert weaker(0.9, (0, 0, 100, 80), SIZE, -10) == 1
    assert weaker(0.9, (0, 0, 100, 80), SIZE, 10) == pytest.approx(0)


def test_the_pass_takes_the_shape_of_what_it_paints() -> None:
    flat = Detection(box=(0, 30, 100, 55), confidence=1, label="").mask(100, 80)
    assert free_size(flat, 0, (512, 512)) == (1024, 256)
    assert trained_size(flat, 0) == (2048, 512)
    assert trained_size(SMALL.mask(100, 80), 32) in SDXL_SIZES
    # Padded by 32 within the picture: 38..100 and 0..52.
    width, height = free_size(SMALL.mask(100, 80), 32, (512, 512))
    assert width / height == pytest.approx(62 / 52, rel=0.02)
