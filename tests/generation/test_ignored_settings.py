"""What pages say to have no effect with a family has none, and what they don't say so of has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from modules.families import ignored_settings
from modules.generation.pipeline import Pipeline
from modules.generation.txt2img import txt2img
from modules.settings.tables import OPTIONS
from tests.amounts import some
from tests.checkpoints import TINY_COSXL, TINY_REFINER, TINY_SD2, TINY_SDXL, Architecture
from tests.generation.test_against_pipelines import QUIET
from tests.generation.test_sdxl_against_pipelines import pipeline_of, request

__all__ = ["pipeline_of"]

VALUES: dict[str, object] = {
    "CLIP_stop_at_last_layers": 3,
    "sdxl_clip_l_skip": True,
    "token_merging_ratio": 0.5,
    "sdxl_crop_top": 512,
    "sdxl_refiner_low_aesthetic_score": 9.0,
    "sdxl_refiner_high_aesthetic_score": 2.0,
    "sd_noise_schedule": "Zero Terminal SNR",
    "enable_quantization": True,
    "use_downcasted_alpha_bar": True,
}
# Those that act by another one only, or in another mode.
ELSEWHERE = {"token_merging_ratio_img2img", "token_merging_ratio_hr", "sdxl_crop_left", "klein_no_reference"}
# The base is not shown a score, but its refiner is.
OF_REFINERS = {"sdxl_refiner_low_aesthetic_score", "sdxl_refiner_high_aesthetic_score"}
TOYS = {"SD1": Architecture(), "SD2": TINY_SD2, "XL": TINY_SDXL, "CosXL": TINY_COSXL, "refiner": TINY_REFINER}


@pytest.mark.parametrize("name", some(TOYS, 1))
def test_a_setting_acts_exactly_where_it_is_not_said_to_be_ignored(
    pipeline_of: Callable[..., Pipeline], name: str
) -> None:
    pipeline = pipeline_of(TOYS[name])

    def latents(**options: object) -> torch.Tensor:
        return txt2img(pipeline, request(options, width=64, height=64, scheduler="Uniform"), range(1), QUIET)

    plain, ignored = latents(), ignored_settings(pipeline.model.family)
    assert set(ignored) <= VALUES.keys() | ELSEWHERE and set(ignored) <= OPTIONS.keys()
    for key, value in VALUES.items():
        if key == "sdxl_clip_l_skip":
            skips = {"CLIP_stop_at_last_layers": 3}
            acts = not torch.equal(latents(**skips, sdxl_clip_l_skip=value), latents(**skips))
        else:
            acts = not torch.equal(latents(**{key: value}), plain)
        if key in OF_REFINERS and name in ("XL", "CosXL"):
            assert not acts and key not in ignored, key
        else:
            assert acts is (key not in ignored), key


def test_clip_skip_is_ignored_until_it_is_wanted_for_sdxl() -> None:
    family = TINY_SDXL.family
    assert "CLIP_stop_at_last_layers" in ignored_settings(family)
    assert "CLIP_stop_at_last_layers" not in ignored_settings(family, clip_l_skip=True)
    assert "CLIP_stop_at_last_layers" in ignored_settings(TINY_SD2.family, clip_l_skip=True)
