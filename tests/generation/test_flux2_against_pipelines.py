"""Flux.2 klein in every layout against diffusers' own pipelines at the same weights, noise and levels, to 1e-4."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux2 import pipeline_flux2_klein_inpaint
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline, compute_empirical_mu
from diffusers.pipelines.flux2.pipeline_flux2_klein_inpaint import Flux2KleinInpaintPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from PIL import Image

from modules.families import FLUX2_KLEIN_4B, ignored_settings
from modules.generation.img2img import img2img
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline
from modules.generation.previews import fit_colours, linear_pictures
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise
from modules.settings.tables import OPTIONS
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.flux2_files import Flux2Modules, Layout, make_flux2, write_flux2
from tests.generation.test_against_pipelines import QUIET, picture, same
from tests.generation.test_z_image_against_pipelines import Tokens

STEPS, SCALE = 6, 4.0
PROMPT = "a red circle on a table, oil on canvas"


@cache
def modules() -> Flux2Modules:
    return make_flux2()


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], Pipeline]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")

    @cache
    def made(layout: Layout) -> Pipeline:
        return loaded(folder, layout)

    return made


def loaded(folder: Path, layout: Layout) -> Pipeline:
    files = write_flux2(folder, layout, modules=modules())
    model = load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts)
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)


class ThoughtlessTokens(Tokens):
    """Qwen's tokenizer as the pipeline calls it, with an empty thought behind the message."""

    def apply_chat_template(self, messages: list[dict[str, str]], **arguments: Any) -> str:
        assert arguments["enable_thinking"] is False
        return f"{super().apply_chat_template(messages)}<think>\n\n</think>\n\n"

    def __call__(self, texts: Any, max_length: int, **arguments: Any) -> Any:
        batch = super().__call__([texts], max_length, **arguments)
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}


def theirs(kind: Any) -> Any:
    own = modules()
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    made = kind(
        scheduler=scheduler, vae=own.vae, text_encoder=own.text, tokenizer=None, transformer=own.transformer
    )  # fmt: skip
    made.tokenizer = ThoughtlessTokens()
    made.set_progress_bar_config(disable=True)
    return made


def request(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    given = {
        "prompt": PROMPT, "negative_prompt": "", "width": 64, "height": 64, "steps": STEPS, "cfg_scale": SCALE,
        "seed": 7, "sampler_name": "Euler", "scheduler": "Automatic", "mask_blur_x": 0, "mask_blur_y": 0,
    }  # fmt: skip
    return resolve(
        parse_request(given | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


def noise() -> torch.Tensor:
    return ImageNoise((128, 4, 4), [7], source="CPU").draw()


def arguments(**more: Any) -> dict[str, Any]:
    given = {
        "prompt": PROMPT, "guidance_scale": SCALE, "num_inference_steps": STEPS, "output_type": "latent", "height": 64,
        "width": 64,
    }  # fmt: skip
    return given | more


def mask() -> Image.Image:
    """In whole cells of the latent, so that every way to bring it to the latent's size is the same."""
    drawn = Image.new("L", (64, 64), 0)
    drawn.paste(255, (16, 16, 48, 48))
    return drawn


def as_theirs(pipeline: Pipeline, latents: torch.Tensor) -> torch.Tensor:
    """Latents as the pipelines give them, ready for the VAE."""
    return pipeline.model.latent_scaling.unscaled(latents)


@pytest.mark.parametrize("layout", ["split", "all-in-one", "diffusers"])
def test_txt2img_is_that_of_diffusers(
    layout: Layout, pipeline_of: Callable[[Layout], Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    pipeline = pipeline_of(layout)
    expected = theirs(Flux2KleinPipeline)(**arguments(latents=noise())).images
    ours = txt2img(pipeline, request(), range(1), QUIET)
    assert same(as_theirs(pipeline, ours), expected)
    assert float(expected.std()) > 0.3


def test_the_prompt_and_the_scale_count(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    usual = txt2img(pipeline, request(), range(1), QUIET)
    for other in (request(prompt="a green square"), request(negative_prompt="red, much longer"), request(cfg_scale=1)):
        assert not torch.allclose(txt2img(pipeline, other, range(1), QUIET), usual, atol=1e-2)


def test_a_batch_is_its_pictures_made_alone(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    both = txt2img(pipeline, request(batch_size=2, steps=2), range(2), QUIET)
    alone = [txt2img(pipeline, request(batch_size=2, steps=2), range(i, i + 1), QUIET) for i in range(2)]
    torch.testing.assert_close(both, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_sizes_are_made_of_whole_patches(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    latents = txt2img(pipeline_of("split"), request(width=80, height=96, steps=2), range(1), QUIET)
    assert latents.shape == (1, 128, 6, 5) and bool(torch.isfinite(latents).all())
    with pytest.raises(RequestError, match="72×88 is not made of whole ones: choose 64×96, or another size in mul"):
        txt2img(pipeline_of("split"), request(width=72, height=88), range(1), QUIET)


def test_levels_go_by_the_size_and_the_steps_unless_somebody_shifts_them() -> None:
    flow = FLUX2_KLEIN_4B.flow
    assert flow is not None
    for cells, steps in ((4096, 4), (4096, 50), (256, 20), (4300, 10), (4301, 10), (16384, 4)):
        published = torch.tensor(compute_empirical_mu(cells, steps)).exp()
        torch.testing.assert_close(torch.tensor(flow.even_shift(cells, steps)), published)
    assert flow.even_shift(4096, 4) == pytest.approx(9.886, abs=1e-3)


def test_shift_is_that_of_the_schedule(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    own, pipeline = theirs(Flux2KleinPipeline), pipeline_of("split")
    own.scheduler = FlowMatchEulerDiscreteScheduler(shift=6.0)
    ours = txt2img(pipeline, request(distilled_cfg_scale=6), range(1), QUIET)
    assert same(as_theirs(pipeline, ours), own(**arguments(latents=noise())).images)


def test_a_picture_is_edited_as_diffusers_does(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    """It is shown the picture of img2img, and from a denoising strength of 1 on begins with nothing but noise."""
    resolved, pipeline = request(mode="img2img", denoising_strength=1.0), pipeline_of("split")
    ours = img2img(pipeline, resolved, range(1), prepare_init_picture(resolved, picture(), None), QUIET)
    expected = theirs(Flux2KleinPipeline)(**arguments(image=picture(), latents=noise())).images
    assert same(as_theirs(pipeline, ours), expected)
    without = theirs(Flux2KleinPipeline)(**arguments(latents=noise())).images
    assert not torch.allclose(expected, without, atol=0.05)


@pytest.fixture
def inpainting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """diffusers' pipeline that goes out from a picture, with this module's noise."""
    monkeypatch.setattr(pipeline_flux2_klein_inpaint, "randn_tensor", lambda *_, **__: noise())
    return theirs(Flux2KleinInpaintPipeline)


def test_img2img_is_that_of_diffusers(pipeline_of: Callable[[Layout], Pipeline], inpainting: Any) -> None:
    """Six steps at .5 are four of them here, which diffusers takes at .66; with everything under its mask."""
    everywhere = Image.new("L", (64, 64), 255)
    given = arguments(image=picture(), mask_image=everywhere, strength=0.66)
    resolved, pipeline = request(mode="img2img", denoising_strength=0.5), pipeline_of("split")
    source = prepare_init_picture(resolved, picture(), None)
    assert same(as_theirs(pipeline, img2img(pipeline, resolved, range(1), source, QUIET)), inpainting(**given).images)
    # The same without a reference, which is img2img as everywhere else.
    inpainting.prepare_image_latents = lambda *_: (torch.zeros(1, 0, 128), torch.zeros(1, 0, 4))
    hidden = request({"klein_no_reference": True}, mode="img2img", denoising_strength=0.5)
    plain = inpainting(**given).images
    assert same(as_theirs(pipeline, img2img(pipeline, hidden, range(1), source, QUIET)), plain)


def test_inpainting_is_that_of_diffusers(pipeline_of: Callable[[Layout], Pipeline], inpainting: Any) -> None:
    resolved, pipeline = request(mode="img2img", denoising_strength=0.5, mask="0"), pipeline_of("split")
    source = prepare_init_picture(resolved, picture(), mask())
    expected = inpainting(**arguments(image=picture(), mask_image=mask(), strength=0.66)).images
    ours = img2img(pipeline, resolved, range(1), source, QUIET)
    assert same(as_theirs(pipeline, ours), expected)


def test_pictures_and_previews_have_the_colours_of_its_latents(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    latents = txt2img(pipeline, request(steps=2), range(1), QUIET)
    decoded = modules().vae.decode(as_theirs(pipeline, latents)).sample
    found = pipeline.codec.decode(pipeline.model, latents[0])
    torch.testing.assert_close(found, ((decoded[0] + 1) / 2).clamp(0, 1), atol=1e-4, rtol=1e-4)
    colours = fit_colours(pipeline.model.vae, pipeline.model.latent_scaling)
    assert colours.shape == (129, 12)
    assert linear_pictures(latents, colours).shape == (1, 3, 8, 8)


IGNORED: dict[str, object] = {
    "CLIP_stop_at_last_layers": 3, "sd_noise_schedule": "Zero Terminal SNR", "enable_quantization": True,
    "use_downcasted_alpha_bar": True, "sgm_noise_multiplier": True, "s_churn": 5.0, "pad_cond_uncond": True,
    "pad_cond_uncond_v0": True, "comma_padding_backtrack": 3, "token_merging_ratio": 0.5,
}  # fmt: skip


def test_settings_that_are_said_to_be_ignored_are(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    plain = txt2img(pipeline, request(steps=2), range(1), QUIET)
    assert set(IGNORED) <= ignored_settings(FLUX2_KLEIN_4B).keys() <= OPTIONS.keys()
    assert torch.equal(txt2img(pipeline, request(IGNORED, steps=2), range(1), QUIET), plain)
