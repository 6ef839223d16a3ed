"""What units do to the decoded picture."""

import cv2
import numpy as np
import pytest

from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.finish import laid_over, recoloured
from modules.features.controlnet.preprocessors import pixels
from modules.features.controlnet.run import ControlNet
from modules.generation.pipeline import JobFeature


def sampled(seed: int) -> RgbArray:
    small = np.random.RandomState(seed).randint(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


@pytest.mark.parametrize(
    ("module", "lightness"), [("recolor_luminance", pixels.luminance), ("recolor_intensity", pixels.intensity)]
)
def test_a_recoloured_picture_has_the_lightness_of_the_map(module: str, lightness: object) -> None:
    assert callable(lightness)
    picture, wanted = sampled(1), lightness(sampled(2), 1)
    made = recoloured(picture, wanted, module)
    if module == "recolor_intensity":
        assert np.abs(made.max(axis=2).astype(int) - wanted[:, :, 0]).max() <= 1
    # What is given its own lightness stays as it is.
    same = recoloured(picture, lightness(picture, 1), module)
    assert np.abs(same.astype(int) - picture).mean() < 3
    assert np.abs(made.astype(int) - picture).mean() > 10


def test_a_loop_may_go_on_from_a_saved_picture_though_maps_come_beside_it() -> None:
    """Maps are put beside a finished picture: it is still as it was made, and need not be made once more."""
    assert ControlNet.changes_finished is False
    assert isinstance(JobFeature.changes_finished, property)
    assert JobFeature().changes_finished is False


def test_what_was_not_painted_lies_over_the_picture() -> None:
    masked = np.dstack([sampled(2), np.zeros((48, 64), np.uint8)])
    masked[:, 32:, 3] = 255
    made = laid_over(sampled(1), masked, 7)
    assert (made[:, :24] == sampled(2)[:, :24]).all() and (made[:, 40:] == sampled(1)[:, 40:]).all()
    hard = laid_over(sampled(1), masked, 0)
    assert (hard[:, :32] == sampled(2)[:, :32]).all() and (hard[:, 32:] == sampled(1)[:, 32:]).all()
