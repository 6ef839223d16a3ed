"""Hires fix: the first pass's result enlarged, in latents or in pixels, and denoised again at the larger size.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from modules.generation.decoding import decode_latent, to_image
from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.passes import Engine, Pass, Progress, run_pass
from modules.generation.resizing import Resize
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.parameters.samplers import resolve_sampler

# A1111's latent upscalers: torch's interpolation mode, and whether it is antialiased.
LATENT_MODES: Final[dict[str, tuple[str, bool]]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


@dataclass(frozen=True, slots=True)
class HiresSize:
    """The size the first result is enlarged to, and how many latent cells are cut off of it (width, height)."""

    width: int
    height: int
    cut: tuple[int, int] = (0, 0)

    @property
    def final(self) -> tuple[int, int]:
        return self.width - self.cut[0] * 8, self.height - self.cut[1] * 8


def hires_size(request: GenerationRequest) -> HiresSize:
    """By the scale, by one given side in proportion, or by two: then the picture covers them and is cut."""
    width, height, x, y = request.width, request.height, request.hr_resize_x, request.hr_resize_y
    if x == 0 and y == 0:
        return HiresSize(int(width * request.hr_scale), int(height * request.hr_scale))
    if y == 0:
        return HiresSize(x, x * height // width)
    if x == 0:
        return HiresSize(y * width // height, y)
    if width / height < x / y:
        cover = (x, x * height // width)
    else:
        cover = (y * width // height, y)
    return HiresSize(*cover, cut=((cover[0] - x) // 8, (cover[1] - y) // 8))


def enlarge(
    engine: Engine,
    latents: Tensor,
    upscaler: str,
    size: HiresSize,
    resize: Resize,
    posterior_seeds: Sequence[int] | None = None,
) -> Tensor:
    """`latents` of the first pass at `size`: interpolated, or through pixels with `resize`; then cut to the middle.

    With `posterior_seeds`, one for each image, the way back from pixels draws from the VAE's posterior.
    """
    if upscaler in LATENT_MODES:
        mode, antialias = LATENT_MODES[upscaler]
        larger = interpolate(latents, size=(size.height // 8, size.width // 8), mode=mode, antialias=antialias)
    else:
        larger = _through_pixels(engine, latents, size, resize, posterior_seeds)
    left, top = size.cut[0] // 2, size.cut[1] // 2
    right, bottom = (size.cut[0] + 1) // 2, (size.cut[1] + 1) // 2
    return larger[:, :, top : larger.shape[2] - bottom, left : larger.shape[3] - right]


def _through_pixels(
    engine: Engine, latents: Tensor, size: HiresSize, resize: Resize, seeds: Sequence[int] | None
) -> Tensor:
    model = engine.model
    shape = (1, model.latent_channels, size.height // model.vae_factor, size.width // model.vae_factor)
    draws = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds or ()]
    pictures: Sequence[Image.Image] = [
        resize(to_image(decode_latent(model.vae, latent, model.vae_scaling_factor)), (size.width, size.height))
        for latent in latents
    ]
    noise = torch.cat(draws) if draws else None
    return encode_pictures(model.vae, to_tensor(pictures), model.vae_scaling_factor, noise).to(latents)


def _posterior_seeds(resolved: ResolvedRequest, images: range) -> list[int] | None:
    """A1111 draws from torch's own generator, which the first pass has left newly seeded: the image's own numbers.

    (In a batch it goes on with those of the last image; here no picture depends on its batch.) Under NV nothing has
    seeded that generator.
    """
    if resolved.options.get("randn_source") == "NV":
        return None
    return [resolved.seeds[index] for index in images]


def hires_pass(
    engine: Engine, resolved: ResolvedRequest, images: range, latents: Tensor, progress: Progress, resize: Resize
) -> Tensor:
    """Enlarge the first pass's `latents` and denoise them again: latents at the final size, float32."""
    request = resolved.request
    seeds = _posterior_seeds(resolved, images)
    larger = enlarge(engine, latents, request.hr_upscaler, hires_size(request), resize, seeds)
    same_sampler = request.hr_sampler_name == "Use same sampler"
    same_schedule = request.hr_scheduler == "Use same scheduler"
    first = resolve_sampler(request.sampler_name, request.scheduler, strict=True).sampler
    asked = Pass(
        prompt=request.hr_prompt or request.prompt,
        negative_prompt=request.hr_negative_prompt or request.negative_prompt,
        sampler_name=request.sampler_name if same_sampler else request.hr_sampler_name,
        scheduler=request.scheduler if same_schedule else request.hr_scheduler,
        steps=request.hr_second_pass_steps or request.steps,
        cfg_scale=request.cfg_scale if request.hr_cfg is None else request.hr_cfg,
        size=(larger.shape[3] * 8, larger.shape[2] * 8),
        strength=request.denoising_strength,
        init_latent=larger,
        exact_steps=True,
        first_calls=first.call_count(request.steps),
    )
    with torch.inference_mode():
        return run_pass(engine, resolved, images, asked, progress)
