"""Whole passes with ControlNets against diffusers' own ControlNet pipelines at the same noise and levels: 1e-4.

At scale 1 in the mode Balanced, where what the residuals are weighed by is one everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import StableDiffusionControlNetImg2ImgPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_inpaint import StableDiffusionControlNetInpaintPipeline
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import StableDiffusionXLControlNetPipeline

from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.residuals import ControlResiduals, ControlUnit, residual_count
from modules.generation.encoding import to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import JobFeature, PassContext, PassHook, Pipeline
from modules.generation.txt2img import txt2img
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise
from modules.sampling.control import Weighting, residual_weights
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.control.reading import ControlModel
from tests.checkpoints import TINY_SDXL, Architecture, write_tiny_checkpoint
from tests.control_models import make_controlnet
from tests.generation.test_against_pipelines import (
    ARGUMENTS,
    QUIET,
    THEIRS,
    diffusers_pipeline,
    mask,
    picture,
    request,
    same,
)
from tests.generation.test_sdxl_against_pipelines import xl_pipeline

SEEDS = (7, 8)


class Units(JobFeature):
    """ControlNets of weight 1 in every pass."""

    def __init__(self, modules: Sequence[ControlNetModel]) -> None:
        self._units = [unit(module) for module in modules]

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        return (ControlResiduals(self._units, context.plan.steps),)


def hint() -> torch.Tensor:
    return (to_tensor([picture().rotate(90)]) + 1) / 2


def unit(module: ControlNetModel) -> ControlUnit:
    model = ControlModel(Path("control.safetensors"), ControlKind.CONTROLNET, "", module)
    weights = residual_weights(residual_count(model), 1.0, curved=False)
    return ControlUnit(model, hint(), Weighting(weights))


def pipeline_with(folder: Path, a: Architecture, modules: Sequence[ControlNetModel]) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(folder / "model.safetensors", architecture=a, dtype="fp32"))
    units = Units(modules)
    made = Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)
    return replace(made, features=lambda resolved: (units,))


def with_controls(kind: Any, modules: Sequence[ControlNetModel]) -> Callable[..., Any]:
    """What makes a pipeline of diffusers with these ControlNets."""
    return lambda **parts: kind(**parts, controlnet=list(modules))


def controls(count: int, a: Architecture) -> list[ControlNetModel]:
    return [make_controlnet(a, seed) for seed in SEEDS[:count]]


def hints(modules: Sequence[ControlNetModel]) -> list[torch.Tensor]:
    return [hint() for _ in modules]


def test_txt2img_with_two_units_is_that_of_diffusers(tmp_path: Path) -> None:
    modules = controls(2, Architecture())
    pipeline = pipeline_with(tmp_path, Architecture(), modules)
    theirs = diffusers_pipeline(with_controls(StableDiffusionControlNetPipeline, modules), pipeline)(
        image=hints(modules),
        latents=ImageNoise((4, 8, 8), [7], source="CPU").draw(),
        output_type="latent",
        **ARGUMENTS,
    ).images
    resolved = request(mode="txt2img")
    ours = txt2img(pipeline, resolved, range(1), QUIET)
    assert same(ours, theirs)
    assert not same(txt2img(replace(pipeline, features=lambda _: ()), resolved, range(1), QUIET), theirs)


def test_img2img_with_a_unit_is_that_of_diffusers(tmp_path: Path) -> None:
    modules, resolved = controls(1, Architecture()), request()
    pipeline = pipeline_with(tmp_path, Architecture(), modules)
    source = prepare_init_picture(resolved, picture(), None)
    theirs = diffusers_pipeline(with_controls(StableDiffusionControlNetImg2ImgPipeline, modules), pipeline)(
        image=start_of(pipeline, resolved, range(1), source).latent,
        control_image=hints(modules),
        controlnet_conditioning_scale=1.0,
        strength=THEIRS,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


def test_inpainting_with_a_unit_is_that_of_diffusers(tmp_path: Path) -> None:
    modules, resolved = controls(1, Architecture()), request(mask="stored")
    pipeline = pipeline_with(tmp_path, Architecture(), modules)
    source = prepare_init_picture(resolved, picture(), mask())
    start = start_of(pipeline, resolved, range(1), source)

    class FromLatent(StableDiffusionControlNetInpaintPipeline):
        """From our latent, which is the mean of what the VAE says: theirs is drawn."""

        def _encode_vae_image(self, image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            return start.latent

    theirs = diffusers_pipeline(with_controls(FromLatent, modules), pipeline)(
        image=picture(),
        mask_image=mask(),
        control_image=hints(modules),
        height=64,
        width=64,
        controlnet_conditioning_scale=1.0,
        strength=THEIRS,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


def test_sdxl_with_a_unit_is_that_of_diffusers(tmp_path: Path) -> None:
    modules = controls(1, TINY_SDXL)
    pipeline = pipeline_with(tmp_path, TINY_SDXL, modules)
    theirs = xl_pipeline(with_controls(StableDiffusionXLControlNetPipeline, modules), pipeline)(
        image=hints(modules),
        latents=ImageNoise((4, 8, 8), [7], source="CPU").draw(),
        original_size=(64, 64),
        target_size=(64, 64),
        output_type="latent",
        **ARGUMENTS,
    ).images
    assert same(txt2img(pipeline, request(mode="txt2img"), range(1), QUIET), theirs)
