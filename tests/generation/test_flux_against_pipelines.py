"""Flux.1 in every layout against diffusers' own pipelines at the same weights, noise and levels: 1e-4 on latents."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.flux.pipeline_flux_img2img import FluxImg2ImgPipeline
from diffusers.pipelines.flux.pipeline_flux_inpaint import FluxInpaintPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from modules.families import FLUX_DEV, FLUX_SCHNELL, ignored_settings
from modules.generation.encoding import to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline
from modules.generation.previews import fit_colours, linear_pictures
from modules.generation.txt2img import txt2img
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.prompt.t5 import END, t5_tokenizer
from modules.prompt.tokens import START
from modules.sampling import ImageNoise
from modules.settings.tables import OPTIONS
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.amounts import some
from tests.flux_files import FluxModules, Layout, make_flux, write_flux
from tests.generation.test_against_pipelines import QUIET, mask, picture, same

STEPS, SCALE, GUIDANCE = 6, 4.0, 2.5
PROMPT, NEGATIVE = "a red circle on a table, oil on canvas", "blue"


@cache
def modules(guided: bool = True) -> FluxModules:
    return make_flux(guided=guided)


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pipeline]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")

    @cache
    def made(layout: Layout, guided: bool = True) -> Pipeline:
        files = write_flux(folder / str(guided), layout, modules=modules(guided))
        model = load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts)
        return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)

    return made


class ClipTokens:
    """CLIP's tokenizer as the pipelines call it."""

    model_max_length = 77

    def __call__(self, texts: list[str], max_length: int = 77, **_: Any) -> Any:
        rows = [[START, *clip_tokenizer().encode(text)[:75]] for text in texts]
        ids = torch.tensor([row + [START + 1] * (max_length - len(row)) for row in rows])
        return type("Batch", (), {"input_ids": ids})

    def batch_decode(self, ids: torch.Tensor) -> list[str]:
        return []


class T5Tokens(ClipTokens):
    """T5's tokenizer as the pipelines call it."""

    def __call__(self, texts: list[str], max_length: int = 0, **_: Any) -> Any:
        rows = [[*t5_tokenizer().encode(text), END] for text in texts]
        longest = max_length or max(map(len, rows))
        ids = torch.tensor([row[:longest] + [0] * (longest - len(row)) for row in rows])
        return type("Batch", (), {"input_ids": ids})


def scheduler(guided: bool = True) -> Any:
    """With the published configurations of [dev] and [schnell]."""
    more: dict[str, Any] = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15} if guided else {}
    return FlowMatchEulerDiscreteScheduler(
        shift=3.0 if guided else 1.0, base_image_seq_len=256, max_image_seq_len=4096, **more
    )


def theirs(kind: Any, guided: bool = True) -> Any:
    own = modules(guided)
    made = kind(
        scheduler=scheduler(guided), vae=own.vae, text_encoder=own.clip, text_encoder_2=own.t5,
        tokenizer=None, tokenizer_2=None, transformer=own.transformer,
    )  # fmt: skip
    made.tokenizer, made.tokenizer_2 = ClipTokens(), T5Tokens()
    # It would look for textual inversions of several vectors.
    made.maybe_convert_prompt = lambda prompt, _: prompt
    made.set_progress_bar_config(disable=True)
    return made


def request(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    given = {
        "prompt": PROMPT, "negative_prompt": "", "width": 64, "height": 64, "steps": STEPS, "cfg_scale": 1,
        "distilled_cfg_scale": GUIDANCE, "seed": 7, "sampler_name": "Euler", "scheduler": "Automatic",
        "mask_blur_x": 0, "mask_blur_y": 0,
    }  # fmt: skip
    return resolve(
        parse_request(given | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


def noise(height: int = 8, width: int = 8) -> torch.Tensor:
    return ImageNoise((16, height, width), [7], source="CPU").draw()


def packed(latents: torch.Tensor) -> torch.Tensor:
    return pixel_unshuffle(latents, 2).flatten(2).transpose(1, 2)


def unpacked(tokens: torch.Tensor, rows: int = 4) -> torch.Tensor:
    return pixel_shuffle(tokens.transpose(1, 2).reshape(1, tokens.shape[2], rows, -1), 2)


def arguments(**more: Any) -> dict[str, Any]:
    given = {
        "prompt": PROMPT, "guidance_scale": GUIDANCE, "num_inference_steps": STEPS, "output_type": "latent",
        "height": 64, "width": 64, "max_sequence_length": 256,
    }  # fmt: skip
    return given | more


@pytest.mark.parametrize("layout", some(["split", "all-in-one", "diffusers"], 1))
def test_txt2img_is_that_of_diffusers(
    layout: Layout, pipeline_of: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    expected = unpacked(theirs(FluxPipeline)(**arguments(latents=packed(noise()))).images)
    assert same(txt2img(pipeline_of(layout), request(), range(1), QUIET), expected)
    assert float(expected.std()) > 0.3


def test_schnell_takes_no_guidance_and_even_levels(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("split", False)
    assert (pipeline.model.family.label, pipeline_of("split").model.family) == (FLUX_SCHNELL.label, FLUX_DEV)
    expected = unpacked(theirs(FluxPipeline, False)(**arguments(latents=packed(noise()), guidance_scale=0.0)).images)
    assert same(txt2img(pipeline, request(), range(1), QUIET), expected)
    assert same(txt2img(pipeline, request(distilled_cfg_scale=0), range(1), QUIET), expected)


def test_a_negative_prompt_counts_beside_the_guidance(pipeline_of: Callable[..., Pipeline]) -> None:
    given = arguments(latents=packed(noise()), true_cfg_scale=SCALE, negative_prompt=NEGATIVE)
    expected = unpacked(theirs(FluxPipeline)(**given).images)
    ours = txt2img(pipeline_of("split"), request(cfg_scale=SCALE, negative_prompt=NEGATIVE), range(1), QUIET)
    assert same(ours, expected)


def test_a_long_prompt_counts_as_long_as_it_is(pipeline_of: Callable[..., Pipeline]) -> None:
    """Beside a shorter negative prompt too: neither is filled up with what the other has more."""
    # Commas would move the end of CLIP's first chunk.
    long = " and ".join(f"a red circle {number}" for number in range(60))
    tokens = len(t5_tokenizer().encode(long)) + 1
    assert 256 < tokens < 512
    pipeline, own = pipeline_of("split"), theirs(FluxPipeline)
    encode = own._get_t5_prompt_embeds

    def as_long_as_it_is(prompt: Any, max_sequence_length: int, **more: Any) -> torch.Tensor:
        (text,) = [prompt] if isinstance(prompt, str) else prompt
        return torch.as_tensor(
            encode([text], max_sequence_length=max(256, len(t5_tokenizer().encode(text)) + 1), **more)
        )

    own._get_t5_prompt_embeds = as_long_as_it_is
    expected = own(**arguments(prompt=long, latents=packed(noise()))).images
    assert same(txt2img(pipeline, request(prompt=long), range(1), QUIET), unpacked(expected))
    guided = arguments(prompt=long, latents=packed(noise()), true_cfg_scale=SCALE, negative_prompt=NEGATIVE)
    ours = txt2img(pipeline, request(prompt=long, negative_prompt=NEGATIVE, cfg_scale=SCALE), range(1), QUIET)
    assert same(ours, unpacked(own(**guided).images))


def test_prompt_guidance_and_weights_count(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("split")
    usual = txt2img(pipeline, request(), range(1), QUIET)
    for other in (
        request(prompt="a green square"),
        request(distilled_cfg_scale=30),
        request(prompt="(a red circle on a table, oil:1.5) on canvas"),
    ):
        assert not torch.allclose(txt2img(pipeline, other, range(1), QUIET), usual, atol=1e-3)
    own = txt2img(pipeline, request(distilled_cfg_scale=0), range(1), QUIET)
    assert torch.equal(own, txt2img(pipeline, request(distilled_cfg_scale=3.5), range(1), QUIET))
    plain = txt2img(pipeline, request(prompt="a (red:1) circle on a table, oil on canvas"), range(1), QUIET)
    assert torch.equal(plain, usual)


def test_a_batch_is_its_pictures_made_alone(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("split")
    both = txt2img(pipeline, request(batch_size=2, steps=2), range(2), QUIET)
    alone = [txt2img(pipeline, request(batch_size=2, steps=2), range(i, i + 1), QUIET) for i in range(2)]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_other_sizes_are_filled_up_to_whole_patches(pipeline_of: Callable[..., Pipeline]) -> None:
    latents = txt2img(pipeline_of("split"), request(width=72, height=88, steps=2), range(1), QUIET)
    assert latents.shape == (1, 16, 11, 9) and bool(torch.isfinite(latents).all())


def test_even_levels_go_by_the_size(pipeline_of: Callable[..., Pipeline]) -> None:
    expected = theirs(FluxPipeline)(**arguments(latents=packed(noise(16, 24)), height=128, width=192)).images
    ours = txt2img(pipeline_of("split"), request(height=128, width=192), range(1), QUIET)
    assert same(ours, unpacked(expected, 8))
    flow = FLUX_DEV.flow
    assert flow is not None and flow.even_shift(4 * 4096, STEPS) == pytest.approx(flow.shift, abs=1e-3)


@pytest.mark.parametrize("strength", some([0.5, 1.0], 1))
def test_img2img_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], strength: float) -> None:
    resolved = request(mode="img2img", denoising_strength=strength)
    source = prepare_init_picture(resolved, picture(), None)
    ours = img2img(pipeline_of("split"), resolved, range(1), source, QUIET)
    assert same(ours, changed(pipeline_of("split"), resolved, FluxImg2ImgPipeline, strength))


def test_inpainting_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline]) -> None:
    resolved = request(mode="img2img", denoising_strength=0.5, mask="0")
    source = prepare_init_picture(resolved, picture(), mask())
    ours = img2img(pipeline_of("split"), resolved, range(1), source, QUIET)
    assert same(ours, changed(pipeline_of("split"), resolved, FluxInpaintPipeline, 0.5, mask_image=mask()))


def changed(pipeline: Pipeline, resolved: ResolvedRequest, kind: Any, strength: float, **more: Any) -> torch.Tensor:
    """What a pipeline of diffusers makes of the picture, with the noise of this module. Six steps at .5 are four of
    them here, which it takes at .66.
    """
    start = start_of(pipeline, resolved, range(1), prepare_init_picture(resolved, picture(), None))
    encoded = modules().vae.encode(to_tensor([picture()])).latent_dist.mode()
    torch.testing.assert_close(start.latent, (encoded - 0.1159) * 0.3611, atol=1e-5, rtol=1e-5)
    own = theirs(kind)
    own._encode_vae_image = lambda image, generator: start.latent
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(f"{kind.__module__}.randn_tensor", lambda *_, **__: noise())
        given = arguments(image=picture(), strength=min(1.0, strength + 0.16), **more)
        return unpacked(own(**given).images)


def test_pictures_and_previews_have_the_colours_of_its_latents(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("split")
    latents = txt2img(pipeline, request(steps=2), range(1), QUIET)
    found = pipeline.codec.decode(pipeline.model, latents[0])
    decoded = modules().vae.decode(latents / FLUX_DEV.vae_scaling_factor + FLUX_DEV.vae_shift).sample
    torch.testing.assert_close(found, ((decoded[0] + 1) / 2).clamp(0, 1), atol=1e-4, rtol=1e-4)
    colours = fit_colours(pipeline.model.vae, pipeline.model.latent_scaling)
    assert colours.shape == (17, 3) and linear_pictures(latents, colours).shape == (1, 3, 8, 8)


IGNORED: dict[str, object] = {
    "CLIP_stop_at_last_layers": 3, "sd_noise_schedule": "Zero Terminal SNR", "enable_quantization": True,
    "use_downcasted_alpha_bar": True, "sgm_noise_multiplier": True, "s_churn": 5.0, "pad_cond_uncond": True,
    "pad_cond_uncond_v0": True, "token_merging_ratio": 0.5,
}  # fmt: skip


def test_settings_that_are_said_to_be_ignored_are(pipeline_of: Callable[..., Pipeline]) -> None:
    pipeline = pipeline_of("split")
    guided: dict[str, Any] = {"steps": 2, "cfg_scale": 2, "negative_prompt": "blue"}
    plain = txt2img(pipeline, request(**guided), range(1), QUIET)
    assert set(IGNORED) <= ignored_settings(FLUX_DEV).keys() <= OPTIONS.keys()
    assert torch.equal(txt2img(pipeline, request(IGNORED, **guided), range(1), QUIET), plain)
