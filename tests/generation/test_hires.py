"""Hires fix: target sizes, latent and pixel upscalers, and a second pass of its own."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from modules.generation.hires import LATENT_MODES, enlarge, hires_pass
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.resizing import lanczos
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.parameters.hires_size import hires_size
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


def resolved(**values: Any) -> ResolvedRequest:
    fields = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 4, "seed": 7, "sampler_name": "Euler"}
    return resolve(
        parse_request(fields | {"enable_hr": True} | values), options={"randn_source": "CPU"}, rng=random.Random(0)
    )


@pytest.mark.parametrize(
    ("fields", "size", "final"),
    [
        ({"hr_scale": 2.0}, (1024, 1024), (1024, 1024)),
        ({"hr_scale": 1.5, "height": 768}, (768, 1152), (768, 1152)),
        ({"hr_resize_x": 768}, (768, 768), (768, 768)),
        ({"hr_resize_y": 768, "width": 256}, (384, 768), (384, 768)),
        ({"hr_resize_x": 1024, "hr_resize_y": 768}, (1024, 1024), (1024, 768)),
        ({"hr_resize_x": 768, "hr_resize_y": 1024}, (1024, 1024), (768, 1024)),
        ({"hr_scale": 0.5}, (256, 256), (256, 256)),
    ],
)
def test_the_target_follows_scale_or_sides(
    fields: dict[str, Any], size: tuple[int, int], final: tuple[int, int]
) -> None:
    target = hires_size(parse_request({"width": 512, "height": 512} | fields))
    assert (target.width, target.height) == size
    assert target.final == final


@pytest.mark.parametrize("upscaler", [*LATENT_MODES, "Lanczos"])
def test_every_upscaler_gives_the_target_size(pipeline: Pipeline, upscaler: Any) -> None:
    latents = torch.randn(1, 4, 8, 8)
    size = hires_size(resolved(hr_resize_x=128, hr_resize_y=96).request)
    assert enlarge(pipeline, latents, upscaler, size, lanczos).shape == (1, 4, 12, 16)


def test_the_second_pass_takes_its_own_steps_at_the_larger_size(pipeline: Pipeline) -> None:
    request = resolved(hr_second_pass_steps=3, denoising_strength=0.7)
    seen: list[tuple[int, int]] = []
    progress = Progress(on_step=lambda step, steps, denoised: seen.append((step, steps)), before_call=lambda: None)
    first = txt2img(pipeline, request, range(1), QUIET)
    second = hires_pass(pipeline, request, range(1), first, progress, lanczos)
    assert second.shape == (1, 4, 16, 16)
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.fixture(scope="module")
def both_passes(pipeline: Pipeline) -> tuple[torch.Tensor, torch.Tensor]:
    first = txt2img(pipeline, resolved(), range(1), QUIET)
    return first, hires_pass(pipeline, resolved(), range(1), first, QUIET, lanczos)


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        {"hr_prompt": "a blue square"},
        {"hr_negative_prompt": "circle"},
        {"hr_sampler_name": "Euler a"},
        {"hr_scheduler": "Karras"},
        {"hr_cfg": 2.0},
        {"denoising_strength": 0.4},
        {"hr_upscaler": "Latent (nearest-exact)"},
        {"prompt": "a red circle[ moon:1.5]"},
    ],
    ids=str,
)
def test_every_field_of_the_second_pass_changes_it(
    pipeline: Pipeline, both_passes: tuple[torch.Tensor, torch.Tensor], change: dict[str, Any]
) -> None:
    first, plain = both_passes
    changed = hires_pass(pipeline, resolved(**change), range(1), first, QUIET, lanczos)
    assert not torch.allclose(plain, changed, atol=1e-3)


def test_a_schedule_for_the_hires_pass_leaves_the_first_alone(pipeline: Pipeline) -> None:
    plain = txt2img(pipeline, resolved(prompt="a red circle"), range(1), QUIET)
    scheduled = txt2img(pipeline, resolved(prompt="a red circle[ moon:1.5]"), range(1), QUIET)
    assert torch.equal(plain, scheduled)


def test_pixels_come_back_drawn_from_the_posterior_with_the_numbers_of_the_image(pipeline: Pipeline) -> None:
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    size = hires_size(resolved(hr_scale=1.5).request)
    drawn = enlarge(pipeline, latents, "Lanczos", size, lanczos, [7, 8])
    mean = enlarge(pipeline, latents, "Lanczos", size, lanczos)
    assert not torch.equal(drawn, mean)
    alone = enlarge(pipeline, latents[1:], "Lanczos", size, lanczos, [8])
    assert torch.allclose(drawn[1:], alone, atol=1e-5)
    assert torch.equal(drawn, enlarge(pipeline, latents, "Lanczos", size, lanczos, [7, 8]))
