"""A second, plain implementation of what a request means: diffusers' UNet and VAE, transformers' CLIP and tokenizer,
k-diffusion's samplers, and nothing of `modules/` but the loading of the file. Its input says how a prompt is read, so
that it also judges our reading. Float32 on the CPU, one picture at a time.
"""

from __future__ import annotations

import io
import math
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from tests.endtoend.oracle_noise import Noise
from tests.endtoend.oracle_painter import Painter
from tests.endtoend.oracle_terms import PassSettings, Reading

LATENT_MODES: dict[str, dict[str, Any]] = {
    "Latent": {"mode": "bilinear"},
    "Latent (antialiased)": {"mode": "bilinear", "antialias": True},
    "Latent (bicubic)": {"mode": "bicubic"},
    "Latent (nearest-exact)": {"mode": "nearest-exact"},
}


@torch.no_grad()
def painted(
    painter: Painter, body: dict[str, Any], reading: Reading, hires: Reading | None = None, index: int = 0
) -> Image.Image:
    """The `index`-th picture of a request to /sdapi/v1/txt2img or img2img (with `init_images`) on the CPU's noise."""
    settings = body.get("override_settings", {})
    spec = PassSettings(
        body["sampler_name"], body.get("scheduler", "Automatic"), body["steps"], body["cfg_scale"], settings
    )
    with ExitStack() as stack:
        for each in (painter, painter.refiner):
            if each is not None:
                each.trained_with(settings)
                stack.enter_context(each.joined(body.get("tiling", False)))
        if "init_images" in body:
            return _from_picture(painter, body, reading, _refined(spec, body, "only pass"), index)
        first = _refined(spec, body, "only pass" if hires is None else "first pass")
        size = (body["width"], body["height"])
        latent, whose = painter.run(torch.zeros(1), _noise(body, size, index), reading, first, strength=None)
        if hires is not None:
            latent, whose = _again(painter, body, hires, spec, latent, whose, index)
        return whose.decoded(latent)


def _refined(spec: PassSettings, body: dict[str, Any], which: str) -> PassSettings:
    """The settings of the "first pass", "second pass" or "only pass", with the refiner where it works in that."""
    works = which == "only pass" or spec.setting("hires_fix_refiner_pass", "second pass") in (which, "both passes")
    at = body.get("refiner_switch_at", 1.0)
    return replace(spec, refines_at=at) if works and at < 1 else spec


def _noise(body: dict[str, Any], size: tuple[int, int], index: int) -> Noise:
    varied = body.get("subseed_strength", 0)
    return Noise(
        body["seed"] + (0 if varied else index),
        size,
        (body["subseed"] + index, varied) if varied else None,
        body["override_settings"].get("eta_noise_seed_delta", 0),
        (body["seed_resize_from_w"], body["seed_resize_from_h"]) if "seed_resize_from_w" in body else None,
    )


def _again(
    painter: Painter,
    body: dict[str, Any],
    reading: Reading,
    spec: PassSettings,
    latent: Tensor,
    whose: Painter,
    index: int,
) -> tuple[Tensor, Painter]:
    """The hires pass over the first pass's latent, which `whose` decodes."""
    larger = (int(body["width"] * body["hr_scale"]), int(body["height"] * body["hr_scale"]))
    noise = _noise(body, larger, index)
    mode = LATENT_MODES.get(body["hr_upscaler"])
    if mode:
        latent = interpolate(latent, size=(larger[1] // 8, larger[0] // 8), **mode)
    else:
        image = whose.decoded(latent).resize(larger, Image.Resampling.LANCZOS)
        shape = (1, 4, larger[1] // 8, larger[0] // 8)
        latent = painter.encoded(image, torch.randn(shape, generator=torch.Generator().manual_seed(noise.seed)))
    second = replace(
        _refined(spec, body, "second pass"),
        sampler=body.get("hr_sampler_name", spec.sampler),
        schedule=body.get("hr_scheduler", spec.schedule),
        steps=body.get("hr_second_pass_steps", 0) or spec.steps,
    )
    return painter.run(latent, noise, reading, second, strength=body["denoising_strength"], hires=True)


def _from_picture(
    painter: Painter, body: dict[str, Any], reading: Reading, spec: PassSettings, index: int
) -> Image.Image:
    size, strength = (body["width"], body["height"]), body["denoising_strength"]
    noise, picture, mask = _noise(body, size, index), body["init_images"][0], body.get("mask")
    if mask is None:
        made, whose = painter.run(painter.encoded(picture), noise, reading, spec, strength=strength)
        return whose.decoded(made)
    if body.get("inpainting_mask_invert"):
        mask = ImageOps.invert(mask)
    latent = painter.encoded(picture if body["inpainting_fill"] == 1 else _filled(picture, mask))
    small = mask.convert("RGB").resize((size[0] // 8, size[1] // 8))
    hidden = torch.from_numpy(np.around(np.array(small, np.float32)[:, :, 0] / 255))
    if body["inpainting_fill"] == 2:
        drawn = torch.randn(latent.shape[1:], generator=torch.Generator().manual_seed(noise.seed))
        latent = latent * (1 - hidden) + drawn * hidden
    elif body["inpainting_fill"] == 3:
        latent = latent * (1 - hidden)
    spec = replace(spec, keep=(latent, 1 - hidden))
    result, whose = painter.run(latent, noise, reading, spec, strength=strength)
    image = whose.decoded(latent * (1 - hidden) + result * hidden)
    return Image.composite(image, picture, mask.point(lambda value: min(255, value * 2)))


def _filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The surroundings, blurred ever less, over one another."""
    around = Image.new("RGBa", picture.size)
    around.paste(picture.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", picture.size)
    for radius in (256, 64, 16, 16, 4, 4, 4, 4, 2, 2, 0):
        result.alpha_composite(around.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA"))
    return result.convert("RGB")


def peak_ratio(one: Image.Image, other: Image.Image) -> float:
    """PSNR in decibels."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    error = float((difference**2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
