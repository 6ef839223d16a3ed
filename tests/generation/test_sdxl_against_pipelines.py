"""SDXL, its refiner and SD 2 against diffusers' own pipelines at the same weights and noise: 1e-4 on latents."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from transformers import CLIPTokenizer

from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.passes import Pipeline
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import TINY_REFINER, TINY_SD2, TINY_SDXL, Architecture, clip_of, write_tiny_checkpoint
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


def scheduler(prediction_type: str) -> Any:
    return AtOurLevels(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="linspace",
        steps_offset=1,
        prediction_type=prediction_type,
    )


def xl_pipeline(kind: Any, pipeline: Pipeline, **extra: Any) -> Any:
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
        scheduler=scheduler(model.predicts.kind),
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


@pytest.mark.parametrize("negative", ["blue", ""])
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


def test_the_refiner_alone_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline, resolved = pipeline_of(TINY_REFINER), request(mode="img2img", denoising_strength=OURS, height=64)
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    theirs = xl_pipeline(StableDiffusionXLImg2ImgPipeline, pipeline, requires_aesthetics_score=True)(
        prompt=resolved.request.prompt,
        negative_prompt="blue",
        image=start.latent,
        strength=THEIRS,
        original_size=(64, 64),
        generator=torch.Generator().manual_seed(7),
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_stable_diffusion_2_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], prediction_type: str) -> None:
    pipeline = pipeline_of(TINY_SD2, **{"modelspec.prediction_type": prediction_type})
    resolved, model = request(), pipeline.model
    # diffusers' own files of it lack the last layer, which is never used.
    text_encoder = copy.deepcopy(clip_of(model))
    del text_encoder.encoder.layers[-1]
    declare_sample_size(pipeline)
    absent: Any = None  # both are optional, which their annotations don't say
    made: Any = StableDiffusionPipeline(
        vae=model.vae,
        text_encoder=text_encoder,
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
