"""The txt2img pass on a toy checkpoint: against diffusers' own pipeline, and what must not change a picture."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler

from modules.generation.decoding import decode_latent
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.tiling import edges_joined
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise, Interrupted, UnetOverflow, sigma_schedule
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.amounts import some
from tests.checkpoints import clip_of, write_tiny_checkpoint
from tests.reference_tokenizer import reference_tokenizer

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


def resolved(options: dict[str, Any] | None = None, **values: Any) -> ResolvedRequest:
    fields = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 6, "seed": 7, "sampler_name": "Euler"}
    return resolve(
        parse_request(fields | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


def latents_of(pipeline: Pipeline, request: ResolvedRequest, images: range | None = None) -> torch.Tensor:
    return txt2img(pipeline, request, images or range(request.image_count), QUIET)


def test_equals_the_pipeline_of_diffusers_at_the_same_weights_noise_and_sigmas(pipeline: Pipeline) -> None:
    """Tolerance 1e-4 absolute on latents of unit scale, fp32, Euler."""
    absent: Any = None  # both are optional, which their annotations don't say
    theirs: Any = StableDiffusionPipeline(
        vae=pipeline.model.vae,
        text_encoder=clip_of(pipeline.model),
        tokenizer=reference_tokenizer(77),
        unet=pipeline.model.unet,
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            steps_offset=1,
        ),
        safety_checker=absent,
        feature_extractor=absent,
        requires_safety_checker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    request = resolved(
        prompt="a red circle on a beach", negative_prompt="blue", steps=8, cfg_scale=5, scheduler="Karras"
    )
    expected = theirs(
        "a red circle on a beach",
        negative_prompt="blue",
        width=64,
        height=64,
        guidance_scale=5,
        sigmas=sigma_schedule("Karras", 8),
        num_inference_steps=8,
        latents=ImageNoise((4, 8, 8), [7], source="CPU").draw(),
        output_type="latent",
    ).images
    ours = latents_of(pipeline, request)
    assert (ours - expected).abs().max() < 1e-4 * max(1.0, float(expected.std()))


def test_an_image_does_not_depend_on_the_batch_it_is_made_in(pipeline: Pipeline) -> None:
    request = resolved(batch_size=3, sampler_name="Euler a")
    together = latents_of(pipeline, request)
    for index in range(3):
        alone = latents_of(pipeline, request, range(index, index + 1))
        assert torch.allclose(together[index], alone[0], atol=1e-3)


def test_the_same_request_gives_the_same_bytes(pipeline: Pipeline) -> None:
    assert torch.equal(latents_of(pipeline, resolved()), latents_of(pipeline, resolved()))


@pytest.fixture(scope="module")
def plain(pipeline: Pipeline) -> torch.Tensor:
    return latents_of(pipeline, resolved())


@pytest.mark.parametrize(
    "change",
    some(
        [
            {"prompt": "a blue square"},
            {"prompt": "a (red:1.4) circle"},
            {"prompt": "a [red:blue:3] circle"},
            {"prompt": "a red circle BREAK a beach"},
            {"prompt": "a red circle AND a beach"},
            {"negative_prompt": "circle"},
            {"cfg_scale": 3},
            {"seed": 8},
            {"subseed": 3, "subseed_strength": 0.3},
            {"seed_resize_from_w": 128, "seed_resize_from_h": 96},
            {"scheduler": "Karras"},
            {"sampler_name": "DPM++ 2M"},
            {"options": {"CLIP_stop_at_last_layers": 2}},
            {"options": {"randn_source": "NV"}},
            {"options": {"sgm_noise_multiplier": True}},
        ],
        5,
    ),
    ids=str,
)
def test_what_is_requested_changes_the_picture(pipeline: Pipeline, plain: torch.Tensor, change: dict[str, Any]) -> None:
    assert not torch.allclose(plain, latents_of(pipeline, resolved(**change)), atol=1e-3)


@pytest.mark.parametrize(
    ("prompt", "same_as"),
    [
        ("a red circle [x:99]", "a red circle "),
        ("[a red circle::99]", "a red circle"),
        ("(a red circle:1.0)", "a red circle"),
    ],
)
def test_prompts_that_read_the_same_give_the_same_picture(pipeline: Pipeline, prompt: str, same_as: str) -> None:
    assert torch.equal(latents_of(pipeline, resolved(prompt=prompt)), latents_of(pipeline, resolved(prompt=same_as)))


def test_tags_of_networks_are_no_text(pipeline: Pipeline) -> None:
    tagged = latents_of(pipeline, resolved(prompt="a red circle<lora:ink:0.8>"))
    assert torch.equal(tagged, latents_of(pipeline, resolved(prompt="a red circle")))


def test_joined_edges_make_the_picture_independent_of_where_it_is_cut(pipeline: Pipeline) -> None:
    """With circular padding, shifting the latent shifts the decoded picture and changes nothing else."""
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(1))
    model = pipeline.model
    with edges_joined(model, True):
        plain = decode_latent(model.vae, latent, LatentScaling(1.0))
        shifted = decode_latent(model.vae, latent.roll(2, dims=2), LatentScaling(1.0))
    assert torch.allclose(plain.roll(16, dims=2), shifted, atol=1e-3)
    apart = decode_latent(model.vae, latent.roll(2, dims=2), LatentScaling(1.0))
    assert not torch.allclose(shifted, apart, atol=1e-3)


def test_emphasis_ignored_is_the_plain_prompt(pipeline: Pipeline) -> None:
    ignored = latents_of(pipeline, resolved({"emphasis": "Ignore"}, prompt="a (red:1.4) circle"))
    assert torch.equal(ignored, latents_of(pipeline, resolved(prompt="a red circle")))


def test_negative_prompt_longer_than_a_chunk_is_used_whole(pipeline: Pipeline) -> None:
    long = ", ".join(["blue"] * 60)
    plain = latents_of(pipeline, resolved(negative_prompt=long))
    assert not torch.allclose(plain, latents_of(pipeline, resolved(negative_prompt=long + ", circle")), atol=1e-6)


def test_progress_counts_every_step(pipeline: Pipeline) -> None:
    seen: list[tuple[int, int]] = []
    progress = Progress(on_step=lambda step, steps, denoised: seen.append((step, steps)), before_call=lambda: None)
    txt2img(pipeline, resolved(steps=5), range(1), progress)
    assert seen == [(step, 5) for step in range(1, 6)]


def test_an_interrupt_ends_the_pass_with_the_latest_estimate(pipeline: Pipeline) -> None:
    seen: list[int] = []

    def stop() -> None:
        if len(seen) == 2:
            raise Interrupted

    progress = Progress(on_step=lambda step, steps, denoised: seen.append(step), before_call=stop)
    latents = txt2img(pipeline, resolved(steps=50), range(1), progress)
    assert seen == [1, 2]
    assert torch.isfinite(latents).all()


def test_a_checkpoint_that_overflows_is_named(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = type(pipeline.model.unet).forward

    def overflow(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (broken(self, *args, **kwargs)[0] * float("inf"),)

    monkeypatch.setattr(type(pipeline.model.unet), "forward", overflow)
    steps: list[int] = []
    progress = Progress(on_step=lambda step, _steps, _denoised: steps.append(step), before_call=lambda: None)
    with pytest.raises(UnetOverflow, match="NaN"):
        txt2img(pipeline, resolved(), range(1), progress)
    assert steps == []  # found at the first step, not once the pass is over
