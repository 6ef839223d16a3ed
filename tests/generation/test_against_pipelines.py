"""Passes over a picture against diffusers' own pipelines at the same weights, noise and levels: 1e-4 on latents.

diffusers starts one step later than A1111 does at the same strength, so its strength is chosen for as many steps. With
Euler, keeping noised latents outside the mask after each step, as diffusers does, is the same as keeping the picture in
each denoised estimate, as A1111 does.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_instruct_pix2pix import (
    StableDiffusionInstructPix2PixPipeline,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from PIL import Image

from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline, Progress
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise, sigma_schedule
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.amounts import some
from tests.checkpoints import Architecture, write_tiny_checkpoint
from tests.reference_tokenizer import reference_tokenizer

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
STEPS = 8
SIGMAS = sigma_schedule("Karras", STEPS)
# int(0.5 * 8) + 1 steps here; int(8 * 0.625) there.
OURS, THEIRS = 0.5, 0.625


class AtOurLevels(EulerDiscreteScheduler):
    """Euler over our schedule, whatever a pipeline asks for."""

    def set_timesteps(self, num_inference_steps: Any = None, device: Any = None, *_: Any, **__: Any) -> None:
        super().set_timesteps(sigmas=SIGMAS, device=device)


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Pipeline]:
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("models")

    def made(channels: int) -> Pipeline:
        path = folder / f"{channels}.safetensors"
        model = load_checkpoint(write_tiny_checkpoint(path, architecture=Architecture(in_channels=channels)))
        return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)

    return made


def declare_sample_size(pipeline: Pipeline) -> None:
    """diffusers' pipelines look at it; it changes nothing."""
    pipeline.model.unet.register_to_config(sample_size=64)  # type: ignore[no-untyped-call]  # unannotated in diffusers


def diffusers_pipeline(kind: Any, pipeline: Pipeline) -> Any:
    declare_sample_size(pipeline)
    made = kind(
        vae=pipeline.model.vae,
        text_encoder=pipeline.model.text_encoders[0],
        tokenizer=reference_tokenizer(77),
        unet=pipeline.model.unet,
        scheduler=AtOurLevels(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made


def request(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    values_used = {
        "mode": "img2img",
        "prompt": "a red circle",
        "negative_prompt": "blue",
        "width": 64,
        "height": 64,
        "steps": STEPS,
        "cfg_scale": 5,
        "seed": 7,
        "sampler_name": "Euler",
        "scheduler": "Karras",
        "denoising_strength": OURS,
        "mask_blur_x": 0,
        "mask_blur_y": 0,
    }
    return resolve(
        parse_request(values_used | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


def picture() -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return Image.fromarray(pixels, "RGB")


def mask() -> Image.Image:
    """In whole latent cells, so that every way to bring it to the latent's size is the same."""
    drawn = Image.new("L", (64, 64), 0)
    drawn.paste(255, (24, 16, 56, 48))
    return drawn


ARGUMENTS = {"prompt": "a red circle", "negative_prompt": "blue", "guidance_scale": 5, "num_inference_steps": STEPS}


def same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return float((ours - theirs).abs().max()) < 1e-4 * max(1.0, float(theirs.std()))


def test_img2img_is_that_of_diffusers(pipeline_of: Callable[[int], Pipeline]) -> None:
    pipeline, resolved = pipeline_of(4), request()
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    theirs = diffusers_pipeline(StableDiffusionImg2ImgPipeline, pipeline)(
        image=start.latent,
        strength=THEIRS,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


@pytest.mark.parametrize("weight", some([1.0, 0.4], 2))
@pytest.mark.parametrize("channels", [4, 9])
def test_inpainting_is_that_of_diffusers(pipeline_of: Callable[[int], Pipeline], channels: int, weight: float) -> None:
    pipeline, resolved = pipeline_of(channels), request({"inpainting_mask_weight": weight}, mask="stored")
    model = pipeline.model
    source = prepare_init_picture(resolved, picture(), mask())
    start = start_of(pipeline, resolved, range(1), source)
    pixels, painted = to_tensor([picture()]), (to_tensor([mask()])[:, :1] + 1) / 2
    hidden = pixels * (1 - painted * weight)
    theirs = diffusers_pipeline(StableDiffusionInpaintPipeline, pipeline)(
        image=start.latent,
        mask_image=mask(),
        masked_image_latents=encode_pictures(model.vae, hidden, model.latent_scaling),
        height=64,
        width=64,
        strength=THEIRS,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
        **ARGUMENTS,
    ).images
    ours = img2img(pipeline, resolved, range(1), source, QUIET)
    if channels == 9:
        # diffusers leaves it to such a checkpoint to keep the picture; A1111 keeps it in the latents as well.
        ours = img2img(pipeline, resolved, range(1), source, QUIET, replace(start, painted=None))
    assert same(ours, theirs)


@pytest.mark.long
@pytest.mark.parametrize("image_scale", [1.5, 2.5])
def test_editing_is_instruct_pix2pix_of_diffusers(pipeline_of: Callable[[int], Pipeline], image_scale: float) -> None:
    """It starts from noise alone there: ours at strength 1, with the picture under the noise taken along."""
    pipeline, resolved = pipeline_of(8), request(denoising_strength=1.0, image_cfg_scale=image_scale)
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    noise = ImageNoise((4, 8, 8), [7], source="CPU").draw()
    theirs = diffusers_pipeline(StableDiffusionInstructPix2PixPipeline, pipeline)(
        image=picture(),
        image_guidance_scale=image_scale,
        latents=noise + start.latent / float(SIGMAS[0]),
        output_type="latent",
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)
