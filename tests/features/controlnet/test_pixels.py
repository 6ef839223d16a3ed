"""Preprocessors without weights, against OpenCV's values and against formulas written out with numpy alone."""

import warnings

import cv2
import numpy as np
import pytest

from modules.features.controlnet.arrays import RgbArray, at_resolution
from modules.features.controlnet.preprocessors import pixels
from modules.features.controlnet.preprocessors.declare import PREPROCESSORS, find_preprocessor
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.shared import SharedCache

PREPROCESS = Preprocessors([], SharedCache())


def noise(height: int = 128, width: int = 192) -> RgbArray:
    """A picture with soft shapes and hard edges."""
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(picture, (20, 20), (90, 100), (250, 20, 40), -1)
    cv2.line(picture, (100, 10), (180, 120), (0, 0, 0), 2)
    return np.asarray(picture, dtype=np.uint8)


def run(
    name: str,
    picture: RgbArray,
    resolution: float | None = None,
    threshold_a: float | None = None,
    threshold_b: float | None = None,
    seed: int = 0,
) -> RgbArray:
    numbers = Settings(resolution=resolution, threshold_a=threshold_a, threshold_b=threshold_b, seed=seed)
    return PREPROCESS.run(find_preprocessor(name), picture, numbers)


def gaussian_by_hand(plane: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian as OpenCV cuts it off for floats, edges mirrored about the edge pixel."""
    reach = round(sigma * 8 + 1) // 2
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    for axis in (0, 1):
        padded = np.pad(plane, [(reach, reach) if axis == each else (0, 0) for each in (0, 1)], mode="reflect")
        plane = np.apply_along_axis(lambda line: np.convolve(line, weights, mode="valid"), axis, padded)
    return plane


def blurred_by_hand(picture: RgbArray, sigma: float) -> np.ndarray:
    return np.dstack([gaussian_by_hand(picture[:, :, channel].astype(float), sigma) for channel in range(3)])


def test_every_declared_one_runs_and_answers_bytes_of_three_or_four_channels() -> None:
    picture = noise()
    for one in PREPROCESSORS:
        if not one.files:
            found = PREPROCESS.run(one, picture, Settings(seed=1))
            assert found.dtype == np.uint8 and found.shape[2] == (4 if one.takes_mask else 3), one.name
            again = PREPROCESS.run(one, picture, Settings(seed=1))
            assert (found == again).all(), one.name


def test_names_that_hand_the_picture_on() -> None:
    picture = noise()
    for name in ("none", "tile_colorfix", "tile_colorfix+sharp", "reference_only", "reference_adain"):
        assert (run(name, picture) == picture).all()
    assert (run("invert", picture) == 255 - picture).all()


def test_canny_is_opencvs_on_three_channels_and_not_on_grey() -> None:
    picture = noise()
    found = run("canny", picture, resolution=128, threshold_a=60, threshold_b=180)
    reference = cv2.Canny(picture, 60, 180, apertureSize=3, L2gradient=False)
    assert (found == reference[:, :, None]).all()
    assert (reference != cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), 60, 180)).any()


def test_threshold_looks_at_the_darkest_channel() -> None:
    picture = np.array([[[128, 200, 255], [127, 255, 255], [255, 255, 0]]], dtype=np.uint8)
    assert pixels.threshold(picture, 127)[0, :, 0].tolist() == [255, 0, 0]


def test_blur_is_opencvs() -> None:
    picture = noise()
    assert (run("blur_gaussian", picture, resolution=128) == cv2.GaussianBlur(picture, (0, 0), 9)).all()


def test_xdog_by_its_formula() -> None:
    picture = noise()
    difference = (blurred_by_hand(picture, 5) - blurred_by_hand(picture, 0.5)).min(axis=2).clip(0, 255)
    found = pixels.xdog(picture, 32)[:, :, 0]
    clear = np.abs(difference - 16) > 0.01
    assert (found == np.where(np.ceil(difference) * 2 > 32, 255, 0))[clear].all()
    assert 0 < (found > 0).mean() < 0.5


def test_lineart_standard_by_its_formula() -> None:
    picture = noise()
    darker = (blurred_by_hand(picture, 6) - picture).min(axis=2).clip(0, 255)
    expected = (darker / max(16, np.median(darker[darker > 8])) * 127).clip(0, 255)
    found = pixels.lineart_standard(picture)[:, :, 0]
    assert np.abs(found - expected).max() <= 1.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (pixels.lineart_standard(np.full((64, 64, 3), 255, np.uint8)) == 0).all()


def test_tile_resample_shrinks_by_areas_from_a_rate_of_1_1_on() -> None:
    picture = noise()
    assert (run("tile_resample", picture, threshold_a=1.09) == picture).all()
    half = run("tile_resample", picture, threshold_a=2)
    means = picture.reshape(64, 2, 96, 2, 3).astype(float).mean(axis=(1, 3))
    assert half.shape == (64, 96, 3) and np.abs(half - means).max() <= 0.5


def test_colour_grid_has_one_colour_in_each_square() -> None:
    found = run("color", noise(), resolution=128)
    squares = found.reshape(2, 64, 3, 64, 3)
    assert (squares == squares[:, :1, :, :1]).all()
    assert (squares[:, 0, :, 0] == cv2.resize(noise(), (3, 2), interpolation=cv2.INTER_CUBIC)).all()


def test_recolour_maps_are_lightness_and_brightest_channel_under_a_gamma() -> None:
    picture = noise()
    assert (run("recolor_intensity", picture) == picture.max(axis=2)[:, :, None]).all()
    lightness = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)[:, :, :1]
    assert (np.abs(run("recolor_luminance", picture).astype(int) - lightness) <= 1).all()
    darker = run("recolor_luminance", picture, threshold_a=2)
    assert np.abs(darker[:, :, :1] - (lightness / 255.0) ** 2 * 255).max() <= 1.01


def test_shuffle_depends_on_its_seed_alone_and_brings_no_new_colours() -> None:
    picture = np.zeros((700, 600, 3), np.uint8)
    picture[:, 300:] = (200, 100, 50)
    found = run("shuffle", picture, seed=7)
    assert found.shape == (597, 512, 3)
    assert (found == run("shuffle", picture, seed=7 + (1 << 32))).all()
    assert (found != run("shuffle", picture, seed=8)).any()
    assert found.max(axis=(0, 1)).tolist() == [200, 100, 50]


def test_inpaint_maps_have_the_mask_as_fourth_channel() -> None:
    picture = noise()
    mask = np.zeros(picture.shape[:2], np.uint8)
    mask[10:20] = 255
    found = PREPROCESS.run(find_preprocessor("inpaint_only"), picture, Settings(), mask)
    assert (found[:, :, :3] == picture).all() and (found[:, :, 3] == mask).all()
    assert (PREPROCESS.run(find_preprocessor("inpaint"), picture, Settings())[:, :, 3] == 0).all()


def ridges_by_hand(smooth: np.ndarray, limit: float) -> np.ndarray:
    """Pixel by pixel: above the limit, and no less than both neighbours along some direction."""
    around = np.pad(smooth, 1, constant_values=-np.inf)
    found = np.zeros(smooth.shape, bool)
    for row, column in np.ndindex(smooth.shape):
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            before = around[row + 1 - down, column + 1 - right]
            behind = around[row + 1 + down, column + 1 + right]
            found[row, column] |= smooth[row, column] >= max(before, behind)
    return found & (smooth > limit)


def test_ridges_and_scribbles_by_their_formulas() -> None:
    edges = noise()[:, :, 0]
    smooth = np.asarray(cv2.GaussianBlur(edges.astype(np.float32), (0, 0), 3))
    expected = ridges_by_hand(smooth, 127)
    assert ((pixels.thin_ridges(edges, 127, 3) > 0) == expected).all()
    assert 0.01 < expected.mean() < 0.5
    strokes = gaussian_by_hand(expected * 255.0, 3)
    clear = np.abs(strokes - 4) > 1.5
    assert ((pixels.scribble_of(edges) > 0) == (strokes > 4))[clear].all()
    assert set(np.unique(pixels.scribble_of(edges))) == {0, 255}


def test_safe_steps() -> None:
    values = np.array([0, 0.3, 0.34, 0.6, 0.67, 0.99], np.float32)
    assert pixels.safe_steps(values).tolist() == [0, 0, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize("size", [(100, 150), (333, 97), (64, 64), (1, 5)])
def test_pictures_are_brought_to_the_resolution_and_padded_to_64(size: tuple[int, int]) -> None:
    picture = noise(160, 160)[: size[0], : size[1]]
    if picture.shape[:2] != size:
        picture = np.asarray(cv2.resize(picture, (size[1], size[0])), dtype=np.uint8)
    seen: list[RgbArray] = []

    def remember(padded: RgbArray) -> RgbArray:
        seen.append(padded)
        return padded

    found = at_resolution(picture, 128, remember)
    assert min(found.shape[:2]) == 128
    assert all(side % 64 == 0 for side in seen[0].shape[:2])
    assert (seen[0][: found.shape[0], : found.shape[1]] == found).all()
    below, beside = seen[0][found.shape[0] :, : found.shape[1]], seen[0][: found.shape[0], found.shape[1] :]
    assert (below == found[-1:]).all() and (beside == found[:, -1:]).all()
