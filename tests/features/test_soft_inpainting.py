"""Soft inpainting in pixels: the composite follows what changed, and never reaches beyond the blurred mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from modules.features.soft_inpainting.run import SoftInpainting, windowed_mean
from modules.generation.init_picture import InitPicture
from modules.sampling import SoftBlend

SOFT = SoftInpainting(SoftBlend())
PAINTED = torch.zeros(8, 8)
PAINTED[2:6, 2:6] = 1


def _source(mask: torch.Tensor = PAINTED) -> InitPicture:
    large = Image.fromarray((mask.numpy() * 255).astype(np.uint8), "L").resize((64, 64), Image.Resampling.NEAREST)
    picture = Image.new("RGB", (64, 64), "grey")
    return InitPicture(picture, large, picture, large)


def _plainly(values: np.ndarray, low: float, high: float, row: int, column: int) -> float:
    """The same, neighbour by neighbour."""
    ends = np.exp(-9 / 1.5**2)
    found = []
    for r in range(max(0, row - 2), min(values.shape[0], row + 3)):
        for c in range(max(0, column - 2), min(values.shape[1], column + 3)):
            weight = (np.exp(-((r - row) ** 2 + (c - column) ** 2) / 1.5**2) - ends) / (1 - ends)
            found.append((values[r, c], max(weight, 0)))
    found.sort()
    total = sum(weight for _, weight in found)
    start, stop = total * low, total * high
    if stop - start < 1:
        middle = (start + stop) / 2
        start, stop = middle - 0.5, middle + 0.5
        if stop > total:
            start, stop = total - 1, total
    at, mean, weighed = 0.0, 0.0, 0.0
    for value, weight in found:
        taken = max(0.0, min(stop, at + weight) - max(start, at))
        mean, weighed, at = mean + value * taken, weighed + taken, at + weight
    return mean / weighed


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.25, 0.75), (0.0, 1.0)])
def test_the_windowed_mean_is_what_its_definition_says(low: float, high: float) -> None:
    values = np.random.default_rng(2).random((7, 9))
    found = windowed_mean(values, low, high)
    for row, column in ((0, 0), (3, 4), (6, 8), (0, 5)):
        assert found[row, column] == pytest.approx(_plainly(values, low, high, row, column))


def test_where_nothing_changed_the_original_shows() -> None:
    latent = torch.randn(4, 8, 8)
    assert SOFT.overlay_mask(PAINTED, latent, latent, _source(), (64, 64)).getextrema() == (0, 0)


def test_where_much_changed_the_result_shows_and_nowhere_beyond_the_mask() -> None:
    before, after = torch.zeros(4, 8, 8), torch.zeros(4, 8, 8)
    after[:, 1:7, 1:7] = 3
    mask = np.asarray(SOFT.overlay_mask(PAINTED, before, after, _source(), (64, 64)))
    assert mask[32, 32] > 250
    assert (mask[np.asarray(_source().mask) == 0] == 0).all()
    assert mask[18, 18] > 0


def test_a_higher_threshold_shows_more_of_the_original() -> None:
    before, after = torch.zeros(4, 8, 8), torch.full((4, 8, 8), 0.3)
    shown = [
        np.asarray(SoftInpainting(SoftBlend(), threshold=t).overlay_mask(PAINTED, before, after, _source(), (64, 64)))
        for t in (0.25, 0.5, 4.0)
    ]
    assert shown[0][32, 32] > shown[1][32, 32] > shown[2][32, 32]


@pytest.mark.parametrize("numbers", [(0.0, 0.0, 0.0), (1.0, 0.0, 8.0), (1.0, 8.0, 0.0)])
def test_the_ends_of_the_sliders_give_a_mask(numbers: tuple[float, float, float]) -> None:
    soft = SoftInpainting(SoftBlend(0.0, 0.0, 1.0), *numbers)
    mask = soft.overlay_mask(PAINTED, torch.zeros(4, 8, 8), torch.ones(4, 8, 8), _source(), (64, 64))
    assert mask.size == (64, 64)


def test_only_a_part_that_was_worked_on_lies_in_its_box() -> None:
    original = Image.new("RGB", (200, 120), "grey")
    whole = Image.new("L", original.size, 0)
    whole.paste(255, (40, 40, 60, 60))
    source = InitPicture(Image.new("RGB", (64, 64)), whole.crop((36, 36, 68, 68)), original, whole, (36, 36, 68, 68))
    mask = SOFT.overlay_mask(torch.ones(8, 8), torch.zeros(4, 8, 8), torch.ones(4, 8, 8) * 9, source, (64, 64))
    assert mask.size == (200, 120)
    assert mask.getbbox() is not None
    bounds = mask.getbbox()
    assert bounds is not None
    left, top, right, bottom = bounds
    assert left >= 40 and top >= 40 and right <= 60 and bottom <= 60
