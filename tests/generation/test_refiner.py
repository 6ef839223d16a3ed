"""The refiner against both models of diffusers, run by hand with Euler's method; and what it is not used for."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from torch import Tensor

from modules.catalogue.refusals import refiner_refusal
from modules.families import SD1, SD2, SDXL, SDXL_REFINER
from modules.generation.pipeline import Pipeline
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError
from tests.amounts import some
from tests.checkpoints import TINY_REFINER, TINY_SDXL, Architecture
from tests.generation.test_against_pipelines import QUIET, SIGMAS, STEPS, same
from tests.generation.test_sdxl_against_pipelines import NOISE, pipeline_of, request, xl_pipeline

__all__ = ["pipeline_of"]

SIZE = (96, 64)
BY_STEPS = {"refiner_switch_by_sample_steps": True}


def base_and(refiner: Pipeline, base: Pipeline) -> Pipeline:
    return replace(base, refiner=lambda: refiner)


def theirs(pipeline: Pipeline, prompt: str, numbers: list[float], negative: list[float]) -> Any:
    """diffusers' UNet with its own encodings of `prompt` and "blue", as (x, timestep) -> guided noise."""
    made = xl_pipeline(StableDiffusionXLPipeline, pipeline)
    both = made.encode_prompt(prompt, negative_prompt="blue", num_images_per_prompt=1)
    context, uncond, pooled, pooled_uncond = both
    added = {"text_embeds": torch.cat([pooled_uncond, pooled]), "time_ids": torch.tensor([negative, numbers])}

    def noise(x: Tensor, timestep: float) -> Tensor:
        rows = torch.cat([x, x])
        answer = made.unet(rows, timestep, torch.cat([uncond, context]), added_cond_kwargs=added).sample
        without, wanted = answer.chunk(2)
        guided: Tensor = without + 5 * (wanted - without)
        return guided

    return noise


@torch.no_grad()
@pytest.mark.parametrize("by_steps", some([True, False], 1))
def test_it_goes_on_from_the_same_latent_with_its_own_texts(pipeline_of: Any, *, by_steps: bool) -> None:
    """Prompt editing goes on as well: behind the middle the text is another, for the refiner too."""
    base, refiner = pipeline_of(TINY_SDXL), pipeline_of(TINY_REFINER)
    resolved = request(
        {**BY_STEPS} if by_steps else {},
        prompt="a [red:green:0.5] circle",
        refiner_checkpoint="refiner",
        refiner_switch_at=0.25 if by_steps else 0.4,
    )
    alphas = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=np.float64) ** 2)
    levels = np.sqrt((1 - alphas) / alphas)
    sigmas = [float(sigma) for sigma in SIGMAS]
    nearest = [int(np.abs(levels - sigma).argmin()) for sigma in sigmas[:-1]]
    first = STEPS // 4 if by_steps else next(i for i, t in enumerate(nearest) if (999 - t) / 1000 >= 0.4)
    assert 0 < first < STEPS
    sizes = [*SIZE, 0.0, 0.0]
    texts = ["a red circle", "a green circle"]
    began = [theirs(base, text, [*sizes, *SIZE], [*sizes, *SIZE]) for text in texts]
    ended = [theirs(refiner, text, [*sizes, 6.0], [*sizes, 2.5]) for text in texts]
    x = NOISE * sigmas[0]
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        model = (began if step < first else ended)[step > STEPS // 2]
        timestep = float(np.interp(np.log(sigma), np.log(levels), np.arange(1000)))
        x = x + model(x / (sigma**2 + 1) ** 0.5, timestep) * (following - sigma)
    effects: set[str] = set()
    made = txt2img(base_and(refiner, base), resolved, range(1), replace(QUIET, effects=effects))
    assert same(made, x)
    assert "refiner" in effects
    alone = txt2img(base, resolved, range(1), QUIET)
    assert not same(made, alone), "the refiner changes it"


@pytest.mark.parametrize("fields", [{"refiner_checkpoint": ""}, {"refiner_switch_at": 1.0}], ids=str)
def test_without_one_nothing_of_it_is_there(pipeline_of: Any, fields: dict[str, Any]) -> None:
    base, effects = pipeline_of(TINY_SDXL), set[str]()
    refined: dict[str, Any] = {"refiner_checkpoint": "refiner", "refiner_switch_at": 0.1}
    resolved = request(**refined | fields)

    def unreachable() -> Pipeline:
        raise AssertionError("loaded")

    progress = replace(QUIET, effects=effects)
    made = txt2img(replace(base, refiner=unreachable), resolved, range(1), progress)
    assert torch.equal(made, txt2img(base, request(), range(1), QUIET)) and not effects


@pytest.mark.long
def test_an_inpainting_refiner_is_shown_an_empty_picture(pipeline_of: Any) -> None:
    base, refiner = pipeline_of(TINY_SDXL), pipeline_of(replace(TINY_SDXL, in_channels=9))
    resolved = request(BY_STEPS, refiner_checkpoint="refiner", refiner_switch_at=0.5)
    made = txt2img(base_and(refiner, base), resolved, range(1), QUIET)
    assert torch.isfinite(made).all() and not same(made, txt2img(base, resolved, range(1), QUIET))


def test_one_of_other_latents_is_refused(pipeline_of: Any) -> None:
    base, refiner = pipeline_of(TINY_SDXL), pipeline_of(Architecture())
    resolved = request(BY_STEPS, refiner_checkpoint="refiner", refiner_switch_at=0.5)
    with pytest.raises(RequestError, match="Stable Diffusion 1 can't go on with what Stable Diffusion XL began"):
        txt2img(base_and(refiner, base), resolved, range(1), QUIET)
    assert refiner_refusal(SDXL, SDXL_REFINER) is None and refiner_refusal(SD1, SD2) is None
    assert refiner_refusal(SDXL_REFINER, SD2) is not None
