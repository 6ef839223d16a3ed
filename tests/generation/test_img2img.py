"""img2img and inpainting on a toy checkpoint: against diffusers' scheduler and UNet, and what must stay untouched."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from PIL import Image, ImageDraw

from modules.generation.colour_correction import match_colours
from modules.generation.decoding import decode_latent, to_image
from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.finishing import finish
from modules.generation.img2img import img2img
from modules.generation.init_picture import InitPicture, prepare_init_picture
from modules.generation.pipeline import Pipeline, Progress
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.parameters.job_options import EncodingOptions
from modules.prompt import clip_tokenizer
from modules.sampling import ImageNoise, sigma_schedule
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint

QUIET = Progress(on_step=lambda step, steps, denoised: None, before_call=lambda: None)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), channels_last=False)


def resolved(options: dict[str, Any] | None = None, **values: Any) -> ResolvedRequest:
    fields = {
        "mode": "img2img",
        "prompt": "a red circle",
        "width": 64,
        "height": 64,
        "steps": 8,
        "seed": 7,
        "sampler_name": "Euler",
        "denoising_strength": 0.5,
    }
    return resolve(
        parse_request(fields | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "RGB")


@pytest.fixture(scope="module")
def mask() -> Image.Image:
    mask = Image.new("L", (64, 64), 0)
    ImageDraw.Draw(mask).rectangle((32, 0, 63, 63), fill=255)
    return mask


def picture_of(pipeline: Pipeline, latent: torch.Tensor, source: InitPicture) -> Image.Image:
    decoded = to_image(decode_latent(pipeline.model.vae, latent, pipeline.model.latent_scaling))
    return finish(decoded, source, correct_colours=False)


def test_takes_the_steps_that_a1111_takes_and_ends_where_diffusers_scheduler_does(
    pipeline: Pipeline, picture: Image.Image
) -> None:
    """int(0.5 * 8) + 1 = 5 steps from the schedule's sigmas; oracle is EulerDiscreteScheduler, 1e-4 relative."""
    request = resolved(scheduler="Karras")
    ours = img2img(pipeline, request, range(1), prepare_init_picture(request, picture, None), QUIET)
    sigmas = sigma_schedule("Karras", 8)[-6:]
    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    scheduler.set_timesteps(sigmas=sigmas)
    model = pipeline.model
    x = encode_pictures(model.vae, to_tensor([picture]), model.latent_scaling)
    x = x + ImageNoise((4, 8, 8), [7], source="CPU").draw() * sigmas[0]
    texts = [pipeline.encoder.encode((text,), EncodingOptions()).context for text in ("a red circle", "")]
    with torch.inference_mode():
        for timestep in scheduler.timesteps:
            inputs = scheduler.scale_model_input(torch.cat([x, x]), timestep)
            cond, uncond = model.unet(inputs, timestep, encoder_hidden_states=torch.cat(texts)).sample.chunk(2)
            x = scheduler.step(uncond + 7 * (cond - uncond), timestep, x).prev_sample
    assert (ours - x).abs().max() < 1e-4 * max(1.0, float(x.std()))


def test_zero_denoising_gives_the_picture_through_the_vae(pipeline: Pipeline, picture: Image.Image) -> None:
    request = resolved(denoising_strength=0.0)
    source = prepare_init_picture(request, picture, None)
    latent = encode_pictures(pipeline.model.vae, to_tensor([picture]), pipeline.model.latent_scaling)
    ours = img2img(pipeline, request, range(1), source, QUIET)
    assert (ours - latent).abs().mean() < (ours.std() + latent.std())


def test_inpainting_keeps_every_bit_outside_the_blurred_mask(
    pipeline: Pipeline, picture: Image.Image, mask: Image.Image
) -> None:
    request = resolved(mask="stored", mask_blur_x=2, mask_blur_y=2, denoising_strength=1.0)
    source = prepare_init_picture(request, picture, mask)
    result = picture_of(pipeline, img2img(pipeline, request, range(1), source, QUIET)[0], source)
    unmasked = np.asarray(source.mask) == 0
    assert unmasked.sum() > 64 * 20
    assert (np.asarray(result)[unmasked] == np.asarray(picture)[unmasked]).all()
    assert (np.asarray(result)[:, 48:] != np.asarray(picture)[:, 48:]).any()


def test_the_latent_outside_the_mask_is_the_pictures_own(
    pipeline: Pipeline, picture: Image.Image, mask: Image.Image
) -> None:
    request = resolved(mask="stored", denoising_strength=0.9)
    source = prepare_init_picture(request, picture, mask)
    latent = encode_pictures(pipeline.model.vae, to_tensor([picture]), pipeline.model.latent_scaling)
    result = img2img(pipeline, request, range(1), source, QUIET)
    assert torch.equal(result[0, :, :, :3], latent[0, :, :, :3])
    assert not torch.allclose(result[0, :, :, 5:], latent[0, :, :, 5:], atol=1e-2)


@pytest.mark.parametrize("fill", [0, 1, 2, 3])
def test_each_masked_content_starts_elsewhere(
    pipeline: Pipeline, picture: Image.Image, mask: Image.Image, fill: int
) -> None:
    request = resolved(mask="stored", inpainting_fill=fill)
    other = resolved(mask="stored", inpainting_fill=(fill + 1) % 4)
    results = [
        img2img(pipeline, one, range(1), prepare_init_picture(one, picture, mask), QUIET) for one in (request, other)
    ]
    assert not torch.allclose(results[0], results[1], atol=1e-3)


def test_only_masked_works_on_the_part_and_puts_it_back(pipeline: Pipeline, mask: Image.Image) -> None:
    big = Image.new("RGB", (200, 120), (40, 90, 160))
    painted = Image.new("L", (200, 120), 0)
    ImageDraw.Draw(painted).rectangle((20, 20, 50, 50), fill=255)
    request = resolved(mask="stored", inpaint_full_res=True, inpaint_full_res_padding=4, mask_blur_x=0, mask_blur_y=0)
    source = prepare_init_picture(request, big, painted)
    assert source.picture.size == (64, 64)
    result = picture_of(pipeline, img2img(pipeline, request, range(1), source, QUIET)[0], source)
    assert result.size == (200, 120)
    outside = np.asarray(painted) == 0
    assert (np.asarray(result)[outside] == np.asarray(big)[outside]).all()


def test_a_blank_mask_with_only_masked_is_plain_img2img_and_says_so(picture: Image.Image) -> None:
    source = prepare_init_picture(resolved(mask="stored", inpaint_full_res=True), picture, Image.new("L", (64, 64), 0))
    assert source.mask is None
    assert source.notices


def test_a_mask_of_another_size_is_brought_to_the_picture(picture: Image.Image) -> None:
    source = prepare_init_picture(resolved(mask="stored"), picture, Image.new("L", (16, 200), 255))
    assert source.mask is not None
    assert source.mask.size == (64, 64)


def test_inverting_the_mask_swaps_what_is_kept(picture: Image.Image, mask: Image.Image) -> None:
    plain = prepare_init_picture(resolved(mask="stored", mask_blur_x=0, mask_blur_y=0), picture, mask)
    inverted = prepare_init_picture(
        resolved(mask="stored", mask_blur_x=0, mask_blur_y=0, inpainting_mask_invert=1), picture, mask
    )
    assert (np.asarray(plain.mask) == 255 - np.asarray(inverted.mask)).all()


def test_latent_upscale_mode_resizes_latents_not_pixels(pipeline: Pipeline, picture: Image.Image) -> None:
    request = resolved(resize_mode=3, width=128, height=96)
    source = prepare_init_picture(request, picture, None)
    assert source.picture.size == (64, 64)
    assert img2img(pipeline, request, range(1), source, QUIET).shape == (1, 4, 12, 16)


def test_colours_are_matched_to_the_source() -> None:
    rng = np.random.default_rng(5)
    values = rng.integers(60, 200, (64, 64, 1))
    grey = Image.fromarray(np.repeat(values, 3, axis=2).astype(np.uint8), "RGB")
    tinted = Image.fromarray((np.asarray(grey) * np.array([1.0, 0.7, 0.7])).astype(np.uint8), "RGB")
    red, green, _ = np.asarray(match_colours(tinted, grey), dtype=float).mean(axis=(0, 1))
    assert abs(red - green) < 8


def test_an_exif_rotated_picture_stands_upright() -> None:
    image = Image.new("RGB", (64, 128), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    image.info["exif"] = exif.tobytes()
    turned = Image.new("RGB", (64, 128), "red")
    turned.getexif()[0x0112] = 6
    assert prepare_init_picture(resolved(resize_mode=3), turned, None).picture.size == (128, 64)
