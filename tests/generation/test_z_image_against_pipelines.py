"""Z-Image in every layout against diffusers' own pipelines at the same weights, noise and levels: 1e-4 on latents."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.z_image.pipeline_z_image import ZImagePipeline
from diffusers.pipelines.z_image.pipeline_z_image_img2img import ZImageImg2ImgPipeline
from diffusers.pipelines.z_image.pipeline_z_image_inpaint import ZImageInpaintPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from modules.families import Z_IMAGE, ignored_settings
from modules.generation.encoding import to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import JobFeature, PassContext, PassHook, Pipeline
from modules.generation.previews import fit_colours, linear_pictures
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError, ResolvedRequest, parse_request, resolve
from modules.prompt import clip_tokenizer
from modules.prompt.qwen import qwen_tokenizer
from modules.sampling import ImageNoise
from modules.settings.tables import OPTIONS
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.amounts import some
from tests.generation.test_against_pipelines import QUIET, mask, picture, same
from tests.z_image_files import Layout, ZImageModules, make_z_image, write_z_image

STEPS, SCALE = 6, 4.0
PROMPT, NEGATIVE = "a red circle on a table, oil on canvas, a longer text than the other", "blue"


@cache
def modules() -> ZImageModules:
    return make_z_image()


@pytest.fixture(scope="module")
def pipeline_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], Pipeline]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")

    @cache
    def made(layout: Layout) -> Pipeline:
        return loaded(folder, layout)

    return made


def loaded(folder: Path, layout: Layout, **written: Any) -> Pipeline:
    files = write_z_image(folder, layout, modules=modules(), **written)
    model = load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts)
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)


class Tokens:
    """Qwen's tokenizer as the pipeline calls it; its template's text for one message stands in the published file."""

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return f"<|im_start|>user\n{messages[0]['content']}<|im_end|>\n<|im_start|>assistant\n"

    def __call__(self, texts: list[str], max_length: int, **_: Any) -> Any:
        rows = [qwen_tokenizer().encode(text)[:max_length] for text in texts]
        ids = torch.tensor([row + [151643] * (max_length - len(row)) for row in rows])
        masks = torch.tensor([[1] * len(row) + [0] * (max_length - len(row)) for row in rows])
        return type("Batch", (), {"input_ids": ids, "attention_mask": masks})


def theirs(kind: Any) -> Any:
    own = modules()
    made = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), vae=own.vae, text_encoder=own.text, tokenizer=None,
        transformer=own.transformer,
    )  # fmt: skip
    made.tokenizer = Tokens()
    made.set_progress_bar_config(disable=True)
    return made


def request(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    given = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "width": 64, "height": 64, "steps": STEPS, "cfg_scale": SCALE,
        "seed": 7, "sampler_name": "Euler", "scheduler": "Automatic", "mask_blur_x": 0, "mask_blur_y": 0,
    }  # fmt: skip
    return resolve(
        parse_request(given | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


def arguments(**more: Any) -> dict[str, Any]:
    """Its scale is added to the prompt's answer, and so is one less than A1111's."""
    given = {
        "prompt": PROMPT, "negative_prompt": NEGATIVE, "guidance_scale": SCALE - 1, "num_inference_steps": STEPS,
        "output_type": "latent", "height": 64, "width": 64, "max_sequence_length": 64,
    }  # fmt: skip
    return given | more


@pytest.mark.parametrize("layout", some(["split", "all-in-one", "diffusers"], 1))
def test_txt2img_is_that_of_diffusers(
    layout: Layout, pipeline_of: Callable[[Layout], Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refused)
    noise = ImageNoise((16, 8, 8), [7], source="CPU").draw()
    expected = theirs(ZImagePipeline)(**arguments(latents=noise)).images
    ours = txt2img(pipeline_of(layout), request(), range(1), QUIET)
    assert same(ours, expected)
    assert float(expected.std()) > 0.3


def test_the_prompt_and_the_scale_count(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    usual = txt2img(pipeline, request(), range(1), QUIET)
    for other in (request(prompt="a green square"), request(negative_prompt="red, much longer"), request(cfg_scale=1)):
        assert not torch.allclose(txt2img(pipeline, other, range(1), QUIET), usual, atol=1e-2)


def test_a_batch_is_its_pictures_made_alone(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    """Texts of unlike lengths in one batch, and each picture from its own seed."""
    pipeline = pipeline_of("split")
    both = txt2img(pipeline, request(batch_size=2), range(2), QUIET)
    alone = torch.cat([txt2img(pipeline, request(batch_size=2), range(i, i + 1), QUIET) for i in range(2)])
    torch.testing.assert_close(both, alone, atol=1e-4, rtol=1e-4)
    joined = txt2img(pipeline, request(prompt="a cat AND a dog on the long way home :0.6"), range(1), QUIET)
    assert bool(torch.isfinite(joined).all())


def test_sizes_that_are_no_whole_patches_are_made(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    latents = txt2img(pipeline_of("split"), request(width=72, height=88), range(1), QUIET)
    assert latents.shape == (1, 16, 11, 9) and bool(torch.isfinite(latents).all())


def test_img2img_is_that_of_diffusers(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    """Six steps at .5 are four of them here, which diffusers takes at .66."""
    resolved, pipeline = request(mode="img2img", denoising_strength=0.5), pipeline_of("split")
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    encoded = modules().vae.encode(to_tensor([picture()])).latent_dist.mode()
    torch.testing.assert_close(start.latent, (encoded - 0.1159) * 0.3611, atol=1e-5, rtol=1e-5)
    own = theirs(ZImageImg2ImgPipeline)
    noise = ImageNoise((16, 8, 8), [7], source="CPU").draw()
    own.prepare_latents = lambda image, timestep, *_, **__: own.scheduler.scale_noise(start.latent, timestep, noise)
    expected = own(**arguments(image=picture(), strength=0.66)).images
    ours = img2img(pipeline, resolved, range(1), source, QUIET)
    assert same(ours, expected)


def test_inpainting_is_that_of_diffusers(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    resolved, pipeline = request(mode="img2img", denoising_strength=0.5, mask="0"), pipeline_of("split")
    source = prepare_init_picture(resolved, picture(), mask())
    start = start_of(pipeline, resolved, range(1), source)
    noise = ImageNoise((16, 8, 8), [7], source="CPU").draw()
    own = theirs(ZImageInpaintPipeline)

    def prepared(image: Any, timestep: torch.Tensor, *_: Any) -> Any:
        return own.scheduler.scale_noise(start.latent, timestep, noise), noise, start.latent

    own.prepare_latents = prepared
    expected = own(**arguments(image=picture(), mask_image=mask(), strength=0.66)).images
    ours = img2img(pipeline, resolved, range(1), source, QUIET)
    assert same(ours, expected)


def test_pictures_and_previews_have_the_colours_of_its_latents(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    latents = txt2img(pipeline, request(), range(1), QUIET)
    decoded = modules().vae.decode(latents / 0.3611 + 0.1159).sample
    found = pipeline.codec.decode(pipeline.model, latents[0])
    torch.testing.assert_close(found, ((decoded[0] + 1) / 2).clamp(0, 1), atol=1e-4, rtol=1e-4)
    colours = fit_colours(pipeline.model.vae, pipeline.model.latent_scaling)
    assert colours.shape == (17, 3)
    assert linear_pictures(latents, colours).shape == (1, 3, 8, 8)


def test_weights_in_8_bits_with_scales_are_what_they_stand_for(tmp_path: Path) -> None:
    plain, scaled = loaded(tmp_path / "a", "split"), loaded(tmp_path / "b", "split", scaled_fp8=True)
    wanted = dict(plain.model.unet.named_parameters())
    for name, found in scaled.model.unet.named_parameters():
        exact = wanted[name]
        error = float((found - exact).abs().max() / exact.abs().max())
        assert error < 0.07 if name.startswith("layers.") and found.ndim == 2 else error == 0, name


IGNORED: dict[str, object] = {
    "CLIP_stop_at_last_layers": 3, "sd_noise_schedule": "Zero Terminal SNR", "enable_quantization": True,
    "use_downcasted_alpha_bar": True, "sgm_noise_multiplier": True, "s_churn": 5.0, "pad_cond_uncond": True,
    "pad_cond_uncond_v0": True, "comma_padding_backtrack": 3, "token_merging_ratio": 0.5,
}  # fmt: skip


def test_settings_that_are_said_to_be_ignored_are(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    plain = txt2img(pipeline, request(steps=2), range(1), QUIET)
    assert set(IGNORED) <= ignored_settings(Z_IMAGE).keys() <= OPTIONS.keys()
    changed = txt2img(pipeline, request(IGNORED, steps=2), range(1), QUIET)
    assert torch.equal(changed, plain)


def test_shift_is_that_of_the_schedule(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    own = theirs(ZImagePipeline)
    own.scheduler = FlowMatchEulerDiscreteScheduler(shift=6.0)
    noise = ImageNoise((16, 8, 8), [7], source="CPU").draw()
    ours = txt2img(pipeline_of("split"), request(distilled_cfg_scale=6), range(1), QUIET)
    assert same(ours, own(**arguments(latents=noise)).images)


def test_what_works_inside_of_a_unet_is_refused_by_a_sentence(pipeline_of: Callable[[Layout], Pipeline]) -> None:
    pipeline = pipeline_of("split")
    with pytest.raises(RequestError, match="Tiling joins edges inside of a UNet"):
        txt2img(pipeline, request(tiling=True), range(1), QUIET)
    with pytest.raises(RequestError, match="PLMS can't sample"):
        txt2img(pipeline, request(sampler_name="PLMS"), range(1), QUIET)

    class Patching(JobFeature):
        def before_pass(self, context: PassContext) -> list[PassHook]:
            class Patch(PassHook):
                def encoding(self, encode: Any) -> Any:
                    raise AssertionError("there are no chunks of 75 tokens to read")

                def patched(self, unet: Any) -> Any:
                    raise AssertionError("there is no UNet")

            return [Patch()]

    patched = replace(pipeline, features=lambda resolved: [Patching()])
    with pytest.raises(RequestError, match="has no UNet"):
        txt2img(patched, request(), range(1), QUIET)
