"""SDXL, its refiner and SD 2 against diffusers' own pipelines at the same weights and noise: 1e-4 on latents."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import EDMDPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_edm_euler import EDMEulerScheduler
from torch.nn.functional import interpolate
from transformers import CLIPTokenizer

from modules.families import PLAYGROUND
from modules.generation.encoding import to_tensor
from modules.generation.hires import hires_pass
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline
from modules.generation.previews import fit_colours, linear_pictures
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.amounts import some
from tests.checkpoints import (
    TINY_COSXL,
    TINY_PLAYGROUND,
    TINY_REFINER,
    TINY_SD2,
    TINY_SDXL,
    Architecture,
    clip_of,
    write_tiny_checkpoint,
)
from tests.generation.test_against_pipelines import (
    OURS,
    QUIET,
    STEPS,
    THEIRS,
    AtOurLevels,
    declare_sample_size,
    picture,
    same,
)
from tests.reference_tokenizer import reference_tokenizer


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pipeline]:
    torch.set_num_threads(1)
    folder: Path = tmp_path_factory.mktemp("models")

    def made(architecture: Architecture, **metadata: str) -> Pipeline:
        path = folder / f"{len(list(folder.iterdir()))}.safetensors"
        model = load_checkpoint(write_tiny_checkpoint(path, architecture=architecture, dtype="fp32", metadata=metadata))
        return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)

    return made


class PadsWithZeros(CLIPTokenizer):
    """OpenCLIP's padding: token 0, which a "!" in the text must not become."""

    def __call__(self, *arguments: Any, **given: Any) -> Any:
        made = super().__call__(*arguments, **given)
        ids = made["input_ids"]
        ends = (ids == self.eos_token_id).int().argmax(-1)
        for row, end in zip(ids, ends.tolist(), strict=True):
            row[end + 1 :] = 0
        return made


def tokenizer(*, zeros: bool) -> Any:
    made = reference_tokenizer(77)
    if zeros:
        made.__class__ = PadsWithZeros
    return made


def sd2_text_encoder(pipeline: Pipeline) -> Any:
    """Without the last layer, which is never used and which diffusers' own files lack."""
    made = copy.deepcopy(clip_of(pipeline.model))
    del made.encoder.layers[-1]
    return made


def scheduler(prediction_type: str) -> Any:
    return AtOurLevels(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        steps_offset=1,
        prediction_type=prediction_type,
    )


def xl_pipeline(kind: Any, pipeline: Pipeline, levels: Any = None, **extra: Any) -> Any:
    model = pipeline.model
    declare_sample_size(pipeline)
    first, second = (None, *model.text_encoders)[-2:]
    made = kind(
        vae=model.vae,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=None if first is None else tokenizer(zeros=False),
        tokenizer_2=tokenizer(zeros=True),
        unet=model.unet,
        scheduler=levels or scheduler(model.predicts.kind),
        add_watermarker=False,
        **extra,
    )
    made.set_progress_bar_config(disable=True)
    return made


def request(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    given = {
        "prompt": "a red circle! on blue",
        "negative_prompt": "blue",
        "width": 64,
        "height": 96,
        "steps": STEPS,
        "cfg_scale": 5,
        "seed": 7,
        "sampler_name": "Euler",
        "scheduler": "Karras",
    }
    return resolve(
        parse_request(given | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


ARGUMENTS = {"guidance_scale": 5, "num_inference_steps": STEPS, "output_type": "latent"}
NOISE = ImageNoise((4, 12, 8), [7], source="CPU").draw()


@pytest.mark.parametrize("negative", some(["blue", ""], 1))
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_sdxl_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], negative: str, prediction_type: str) -> None:
    """An empty negative prompt is zeros there where none is given."""
    pipeline = pipeline_of(TINY_SDXL, **{"modelspec.prediction_type": prediction_type})
    resolved = request({"sdxl_crop_top": 8, "sdxl_crop_left": 16}, negative_prompt=negative)
    theirs = xl_pipeline(StableDiffusionXLPipeline, pipeline)(
        prompt=resolved.request.prompt,
        negative_prompt=negative or None,
        latents=NOISE,
        width=64,
        height=96,
        crops_coords_top_left=(8, 16),
        **ARGUMENTS,
    ).images
    assert same(txt2img(pipeline, resolved, range(1), QUIET), theirs)


PLAYGROUND_NOISE = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5, "sigma_schedule": "karras"}
COSXL_NOISE = {"sigma_min": 0.002, "sigma_max": 120.0, "sigma_data": 1.0, "sigma_schedule": "exponential"}


@pytest.mark.parametrize(
    ("architecture", "kind", "trained", "sampler"),
    some(
        [
            (TINY_PLAYGROUND, EDMEulerScheduler, PLAYGROUND_NOISE, "Euler"),
            (TINY_PLAYGROUND, EDMDPMSolverMultistepScheduler, PLAYGROUND_NOISE, "DPM++ 2M"),
            (TINY_COSXL, EDMEulerScheduler, COSXL_NOISE | {"prediction_type": "v_prediction"}, "Euler"),
        ],
        1,
    ),
    ids=some(["Playground", "Playground 2M", "CosXL"], 1),
)
def test_models_of_edm_are_those_of_diffusers(
    pipeline_of: Callable[..., Pipeline], architecture: Architecture, kind: Any, trained: dict[str, Any], sampler: str
) -> None:
    """Without a schedule of its own: Karras for the one, exponential for the other."""
    # The metadata of CosXL's file says so; it is not the velocity of a model with timesteps.
    pipeline = pipeline_of(architecture, **{"modelspec.prediction_type": "v_prediction"})
    # diffusers scales the first noise so.
    resolved = request({"sgm_noise_multiplier": True}, sampler_name=sampler, scheduler="Uniform")
    theirs = xl_pipeline(StableDiffusionXLPipeline, pipeline, kind(**trained))(
        prompt=resolved.request.prompt, negative_prompt="blue", latents=NOISE, width=64, height=96, **ARGUMENTS
    ).images
    assert same(txt2img(pipeline, resolved, range(1), QUIET), theirs)


def test_latents_of_playground_are_normalised_on_the_way_in_and_out(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of(TINY_PLAYGROUND)
    model, pixels = pipeline.model, to_tensor([picture()])
    mean = torch.tensor([-1.6574, 1.886, -1.383, 2.5155])[None, :, None, None]
    std = torch.tensor([8.4927, 5.9022, 6.5498, 5.2299])[None, :, None, None]
    latent = pipeline.codec.encode(model, pixels)
    of_vae = latent * std / 0.5 + mean
    torch.testing.assert_close(of_vae, model.vae.encode(pixels).latent_dist.mode(), atol=1e-5, rtol=1e-5)
    decoded = ((model.vae.decode(of_vae).sample[0] + 1) / 2).clamp(0, 1)
    torch.testing.assert_close(pipeline.codec.decode(model, latent[0]), decoded, atol=1e-5, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("architecture", "factor"), [(TINY_SDXL, 1.0), (TINY_COSXL, 0.13025)], ids=["XL", "CosXL"])
def test_models_that_edit_are_shown_the_picture_as_they_were_trained(
    pipeline_of: Callable[..., Pipeline], architecture: Architecture, factor: float
) -> None:
    pipeline = pipeline_of(replace(architecture, in_channels=8))
    resolved = request(mode="img2img", height=64)
    start = start_of(pipeline, resolved, range(1), prepare_init_picture(resolved, picture(), None))
    encoded = pipeline.model.vae.encode(to_tensor([picture()])).latent_dist.mode()
    assert start.extra is not None
    torch.testing.assert_close(start.extra, encoded * factor, atol=1e-5, rtol=1e-5)


class LinearVae(torch.nn.Module):
    """A VAE whose colours are a linear map of its latents, without a constant."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.config = SimpleNamespace(latent_channels=weight.shape[1])

    def decode(self, latents: torch.Tensor, *, return_dict: bool) -> tuple[torch.Tensor]:
        return (torch.einsum("oc,nchw->nohw", self.weight, latents).repeat_interleave(8, 2).repeat_interleave(8, 3),)


def test_previews_know_the_scaling_of_playground() -> None:
    scaling = LatentScaling(PLAYGROUND.vae_scaling_factor, PLAYGROUND.latents_mean, PLAYGROUND.latents_std)
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)) * 0.02
    vae: Any = LinearVae(weight)
    latents = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2)) * 0.5
    std, mean = (torch.tensor(values)[:, None, None] for values in (scaling.std, scaling.mean))
    exact = (torch.einsum("oc,nchw->nohw", weight, latents * std / 0.5 + mean) + 1) / 2
    torch.testing.assert_close(linear_pictures(latents, fit_colours(vae, scaling)), exact, atol=1e-4, rtol=0)


@pytest.mark.parametrize("architecture", [TINY_PLAYGROUND, TINY_COSXL], ids=["Playground", "CosXL"])
def test_samplers_of_timesteps_are_refused_with_models_that_have_none(
    pipeline_of: Callable[..., Pipeline], architecture: Architecture
) -> None:
    pipeline = pipeline_of(architecture)
    for sampler in ("DDIM", "DDIM CFG++", "PLMS", "UniPC", "LCM", "TCD"):
        with pytest.raises(RequestError, match=f"^{re.escape(sampler)} goes by timesteps"):
            txt2img(pipeline, request(sampler_name=sampler), range(1), QUIET)


@pytest.mark.parametrize("architecture", some([TINY_SDXL, TINY_REFINER], 1), ids=some(["base", "refiner"], 1))
def test_img2img_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], architecture: Architecture) -> None:
    pipeline, resolved = pipeline_of(architecture), request(mode="img2img", denoising_strength=OURS, height=64)
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    scored = architecture is TINY_REFINER
    theirs = xl_pipeline(StableDiffusionXLImg2ImgPipeline, pipeline, requires_aesthetics_score=scored)(
        prompt=resolved.request.prompt,
        negative_prompt="blue",
        image=start.latent,
        strength=THEIRS,
        original_size=(64, 64),
        generator=torch.Generator().manual_seed(7),
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


@pytest.mark.long
def test_a_hires_pass_is_img2img_of_diffusers_over_the_enlarged_latent(pipeline_of: Callable[..., Pipeline]) -> None:
    """It conditions by the larger size, at the same levels; both passes begin with noise of the same seed."""
    pipeline = pipeline_of(TINY_SDXL)
    hires: dict[str, Any] = {
        "enable_hr": True,
        "hr_scale": 1.5,
        "hr_upscaler": "Latent",
        "hr_second_pass_steps": STEPS // 2,
    }
    resolved = request(denoising_strength=0.5, **hires)
    first = txt2img(pipeline, resolved, range(1), QUIET)
    larger = interpolate(first, size=(18, 12), mode="bilinear")
    theirs = xl_pipeline(StableDiffusionXLImg2ImgPipeline, pipeline)(
        prompt=resolved.request.prompt,
        negative_prompt="blue",
        image=larger,
        strength=0.5,
        original_size=(144, 96),
        generator=torch.Generator().manual_seed(7),
        **ARGUMENTS,
    ).images
    ours = hires_pass(pipeline, resolved, range(1), first, QUIET, lambda picture, size: picture.resize(size))
    assert ours.shape == (1, 4, 18, 12) and same(ours, theirs)


@pytest.mark.parametrize("prediction_type", some(["epsilon", "v_prediction"], 1))
def test_stable_diffusion_2_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], prediction_type: str) -> None:
    pipeline = pipeline_of(TINY_SD2, **{"modelspec.prediction_type": prediction_type})
    resolved, model = request(), pipeline.model
    declare_sample_size(pipeline)
    absent: Any = None  # both are optional, which their annotations don't say
    made: Any = StableDiffusionPipeline(
        vae=model.vae,
        text_encoder=sd2_text_encoder(pipeline),
        tokenizer=tokenizer(zeros=True),
        unet=model.unet,
        scheduler=scheduler(prediction_type),
        safety_checker=absent,
        feature_extractor=absent,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    theirs = made(
        prompt=resolved.request.prompt,
        negative_prompt="blue",
        latents=NOISE,
        width=64,
        height=96,
        **ARGUMENTS,
    ).images
    assert same(txt2img(pipeline, resolved, range(1), QUIET), theirs)
