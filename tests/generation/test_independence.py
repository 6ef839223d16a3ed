"""What a picture must not depend on: its batch, who watches, how attention is computed, and what ran before."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from modules.generation.codec import vae_retries
from modules.generation.decoding import VaeOverflow, decode_latent, to_image
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.previews import fit_colours, linear_pictures
from modules.generation.txt2img import txt2img
from modules.hardware.attention import AttentionChoice, AttentionName, apply_attention
from modules.hardware.graphs import StepGraphs
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.parameters.job_options import VaeOptions
from modules.parameters.samplers import sampler_labels
from modules.prompt import clip_tokenizer
from modules.settings.choices import PreviewContent
from modules.settings.groups import read_options
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.latent_scaling import LatentScaling
from tests.amounts import amount, some
from tests.checkpoints import write_tiny_checkpoint
from tests.place_recorder import PlaceRecorder

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)
# Differences of two orders of the same sums, on latents whose values reach some tens.
SAME: dict[str, Any] = {"atol": 2e-3, "rtol": 1e-4}
STOCHASTIC = ["Euler a", "DPM++ 2M SDE", "DPM adaptive", "LCM"]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    path = write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors", dtype="fp32")
    model = load_checkpoint(path)
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


def resolved(**values: Any) -> ResolvedRequest:
    fields = {"prompt": "a [red|blue] (circle:1.3)", "width": 64, "height": 64, "steps": 4, "seed": 7}
    options: dict[str, Any] = {"randn_source": "CPU", "eta_noise_seed_delta": 31337}
    return resolve(parse_request(fields | values), options=options, rng=random.Random(0))


def latents_of(
    pipeline: Pipeline, request: ResolvedRequest, images: range = range(1), progress: Progress = QUIET
) -> Any:
    return txt2img(pipeline, request, images, progress)


@pytest.mark.parametrize("sampler", some((one for one in STOCHASTIC if one != "DPM adaptive" or amount(0, 1)), 2))
@pytest.mark.parametrize("more", [{}, {"subseed": 3, "subseed_strength": 0.4}], ids=["seeds", "variations"])
def test_neither_batch_size_nor_place_in_it_matters(pipeline: Pipeline, sampler: Any, more: dict[str, Any]) -> None:
    # Each picture chooses its own steps there, hundreds of them: two pictures show as much as three.
    size = 2 if sampler == "DPM adaptive" else 3
    request = resolved(batch_size=size, sampler_name=sampler, **more)
    together = latents_of(pipeline, request, range(size))
    for index in range(size):
        alone = latents_of(pipeline, request, range(index, index + 1))
        assert torch.allclose(together[index : index + 1], alone, **SAME)
    # The last picture of a batch is the first of another request with its seed.
    if not more:
        assert torch.equal(latents_of(pipeline, resolved(sampler_name=sampler, seed=6 + size)), alone)


@pytest.mark.parametrize(
    "more",
    some(
        [
            {"sampler_name": "Euler a"},
            {"sampler_name": "DPM++ 2M", "batch_size": 2, "prompt": "a [red|blue] cat AND a dog"},
            {"sampler_name": "Heun", "prompt": "a [red:" + "very " * 80 + "blue:0.5] cat"},
            {"sampler_name": "DDIM", "tiling": True, "cfg_scale": 1.0},
        ],
        2,
    ),
    ids=some(["plain", "together", "longer in between", "without negative"], 2),
)
def test_replayed_steps_paint_the_same_picture(pipeline: Pipeline, more: dict[str, Any]) -> None:
    """The fast mode, with a recorder that stands in for CUDA's."""
    recorder = PlaceRecorder()
    graphs = StepGraphs(lambda: recorder)
    request = resolved(steps=8, **more)
    images = range(request.request.batch_size)
    fast = latents_of(replace(pipeline, graphs=graphs), request, images)
    assert torch.equal(fast, latents_of(pipeline, request, images))
    assert not graphs.trouble and recorder.replayed > 3


@pytest.mark.long
def test_previews_only_look(pipeline: Pipeline) -> None:
    colours = fit_colours(pipeline.model.vae, pipeline.model.latent_scaling)
    seen = []
    watched = Progress(
        on_step=lambda step, steps, denoised: seen.append(linear_pictures(denoised, colours)), before_call=lambda: None
    )
    request = resolved(sampler_name="Euler a")
    assert torch.equal(latents_of(pipeline, request, progress=watched), latents_of(pipeline, request))
    assert len(seen) == 4


@pytest.mark.long
def test_colours_of_a_vae_that_overflows_are_those_of_the_whole_type(pipeline: Pipeline) -> None:
    """SDXL's own VAE makes no numbers in 16 bits: previews would be grey with it on every card."""
    vae: Any = copy.deepcopy(pipeline.model.vae)
    scaling = pipeline.model.latent_scaling
    with torch.no_grad():
        for layer in (vae.post_quant_conv, vae.decoder.conv_in):
            layer.weight.mul_(1e3)
            layer.bias.mul_(1e3)
    whole = fit_colours(copy.deepcopy(vae), scaling)
    half = vae.half()
    assert torch.allclose(fit_colours(half, scaling), whole, atol=0.05) and half.dtype == torch.float16
    assert whole[:4].abs().max() > 1e-3


@pytest.mark.parametrize(("shown", "scale"), [("Prompt", 1.0), ("Negative prompt", 0.0)])
def test_previews_show_the_estimate_that_the_settings_name(
    pipeline: Pipeline, shown: PreviewContent, scale: float
) -> None:
    def first_seen(request: ResolvedRequest, progress: PreviewContent) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        watched = Progress(lambda step, steps, denoised: seen.append(denoised), lambda: None, shown=progress)
        latents_of(pipeline, request, progress=watched)
        return seen[0]

    alone = resolved(prompt="a red circle", steps=2, sampler_name="Euler", cfg_scale=scale)
    guided = alone.model_copy(update={"request": alone.request.model_copy(update={"cfg_scale": 7.0})})
    assert torch.allclose(first_seen(guided, shown), first_seen(alone, "Combined"), **SAME)
    assert not torch.allclose(first_seen(guided, "Combined"), first_seen(alone, "Combined"), **SAME)


def test_a_picture_that_overflows_is_decoded_again_as_the_settings_say(pipeline: Pipeline) -> None:
    """Latents that no 16-bit float holds come from a VAE of 16-bit floats as NaN."""
    latent = torch.full((4, 8, 8), 1e5)
    vae: Any = pipeline.model.vae  # diffusers leaves `half` and `float` unannotated
    half = copy.deepcopy(vae).half()

    def decoded(**options: bool) -> torch.Tensor:
        return decode_latent(half, latent, LatentScaling(1.0), vae_retries(read_options(VaeOptions, options)))

    with pytest.raises(VaeOverflow, match="auto_vae_precision"):
        decoded(auto_vae_precision=False)
    full = decode_latent(copy.deepcopy(half).float(), latent, LatentScaling(1.0))
    assert torch.equal(decoded(), full)
    wide = decode_latent(copy.deepcopy(half).bfloat16(), latent, LatentScaling(1.0))
    assert torch.equal(decoded(auto_vae_precision_bfloat16=True, auto_vae_precision=False), wide)
    assert not torch.equal(full, wide)
    # The next picture is decoded by the weights of the file: to bfloat16 and back they would have lost three bits.
    weights = copy.deepcopy(vae).half().state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in half.state_dict().items())


@pytest.mark.parametrize("name", some(["sdp-no-mem", "sub-quad", "split", "split-v1", "invokeai", "math"], 3))
def test_the_ways_to_compute_attention_differ_by_rounding_alone(pipeline: Pipeline, name: AttentionName) -> None:
    """No 8-bit value of the picture differs by more than 1."""
    request = resolved(sampler_name="Euler")
    try:
        apply_attention(pipeline.model.unet, AttentionChoice(name, ""))
        other = latents_of(pipeline, request)
    finally:
        apply_attention(pipeline.model.unet, AttentionChoice("sdp", ""))
    usual = latents_of(pipeline, request)
    assert torch.allclose(other, usual, **SAME)
    pictures = [to_image(decode_latent(pipeline.model.vae, latent[0], LatentScaling(1.0))) for latent in (other, usual)]
    levels = [torch.tensor(list(picture.tobytes()), dtype=torch.int16) for picture in pictures]
    assert int((levels[0] - levels[1]).abs().max()) <= 1


def test_what_ran_before_leaves_no_trace(pipeline: Pipeline) -> None:
    request = resolved(sampler_name="DPM++ SDE")
    before = latents_of(pipeline, request)
    for sampler in sampler_labels()[::5]:
        latents_of(pipeline, resolved(sampler_name=sampler, prompt="something else entirely", seed=99, width=128))
    torch.manual_seed(5)
    assert torch.equal(latents_of(pipeline, request), before)
