"""Hires fix: the first pass's result enlarged, in latents or in pixels, and denoised again at the larger size.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from modules.families import INPAINTING
from modules.generation.decoding import to_image
from modules.generation.encoding import to_tensor
from modules.generation.image_conditioning import of_nothing, of_picture
from modules.generation.passes import latent_shape, run_pass
from modules.generation.pipeline import Pass, Pipeline, Progress
from modules.generation.resizing import Resize, enlarged_by
from modules.parameters import ResolvedRequest
from modules.parameters.hires_size import HiresSize, hires_size

# A1111's latent upscalers: torch's interpolation mode, and whether it is antialiased.
LATENT_MODES: Final[dict[str, tuple[str, bool]]] = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}


def enlarge(
    pipeline: Pipeline,
    latents: Tensor,
    upscaler: str,
    size: HiresSize,
    resize: Resize,
    posterior_seeds: Sequence[int] | None = None,
) -> Tensor:
    """`latents` of the first pass at `size`: interpolated, or through pixels with `resize`; then cut to the middle.

    With `posterior_seeds`, one for each image, the way back from pixels draws from the VAE's posterior.
    """
    return _cut(pipeline, _enlarged(pipeline, FirstPass(latents), upscaler, size, resize, posterior_seeds)[0], size)


@dataclass(frozen=True, slots=True)
class FirstPass:
    """What a hires pass starts from: latents (images, channels, height/8, width/8), or pictures instead."""

    latents: Tensor | None = None
    pictures: tuple[Image.Image, ...] = ()

    @classmethod
    def of(cls, pipeline: Pipeline, latents: Tensor, upscaler: str) -> Self:
        """The latents of a first pass, as pictures where the upscaler takes those: `pipeline` has the VAE for them."""
        return cls(latents) if upscaler in LATENT_MODES else cls(pictures=decoded(pipeline, latents))

    @classmethod
    def of_picture(cls, pipeline: Pipeline, picture: Image.Image, upscaler: str, images: int) -> Self:
        """A finished picture in the place of a first pass."""
        if upscaler not in LATENT_MODES:
            return cls(pictures=(picture,) * images)
        latent = pipeline.codec.encode(pipeline.model, to_tensor([picture]))
        return cls(latent.repeat(images, 1, 1, 1))


def decoded(pipeline: Pipeline, latents: Tensor) -> tuple[Image.Image, ...]:
    """The pictures of latents (images, channels, height/8, width/8)."""
    return tuple(to_image(pipeline.codec.decode(pipeline.model, latent)) for latent in latents)


def _cut(pipeline: Pipeline, larger: Tensor, size: HiresSize) -> Tensor:
    """The middle of `larger`, of as many cells as the size after the cut has."""
    height, width = latent_shape(pipeline, size.final)[1:]
    left, top = (larger.shape[3] - width) // 2, (larger.shape[2] - height) // 2
    return larger[:, :, top : top + height, left : left + width]


def _enlarged(
    pipeline: Pipeline, first: FirstPass, upscaler: str, size: HiresSize, resize: Resize, seeds: Sequence[int] | None
) -> tuple[Tensor, Tensor | None]:
    """(latents at `size`, not cut yet; the pictures they came from in 0..1, where they came from pictures)."""
    if upscaler in LATENT_MODES and first.latents is not None:
        mode, antialias = LATENT_MODES[upscaler]
        factor = pipeline.model.vae_factor
        cells = (size.height // factor, size.width // factor)
        return interpolate(first.latents, size=cells, mode=mode, antialias=antialias), None
    model = pipeline.model
    pictures = first.pictures if first.latents is None else decoded(pipeline, first.latents)
    larger = [enlarged_by(resize, picture, (size.width, size.height)) for picture in pictures]
    patch = model.latent_scaling.patch
    sides = (side // model.vae_factor * patch for side in (size.height, size.width))
    shape = (1, model.latent_channels // patch**2, *sides)
    draws = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds or ()]
    noise = torch.cat(draws) if draws else None
    pixels = to_tensor(larger)
    latents = pipeline.codec.encode(model, pixels, noise).to(pipeline.device)
    return latents, (pixels + 1.0) / 2.0


def _posterior_seeds(resolved: ResolvedRequest, images: range) -> list[int] | None:
    """A1111 draws from torch's own generator, which the first pass has left newly seeded: the image's own numbers.

    (In a batch it goes on with those of the last image; here no picture depends on its batch.) Under NV nothing has
    seeded that generator.
    """
    if resolved.settings.sampling.randn_source == "NV":
        return None
    return [resolved.seeds[index] for index in images]


def _extra_channels(
    pipeline: Pipeline, resolved: ResolvedRequest, larger: Tensor, pixels: Tensor | None
) -> Tensor | None:
    """What an inpainting checkpoint is shown beside the enlarged latents: grey, as in the first pass, by default.

    With a mask weight below 1 it is shown the picture too: on 0..1 where an upscaler for pixels made it, as in A1111.
    """
    model, weight = pipeline.model, resolved.settings.img2img.mask_weight
    shape = larger.shape[2], larger.shape[3]
    if model.unet_channels != INPAINTING or weight >= 1.0:
        return of_nothing(model, len(larger), shape)
    if pixels is None:
        pixels = torch.stack([pipeline.codec.decode(model, one) for one in larger]) * 2.0 - 1.0
    each = [of_picture(model, one[None], None, shape, 1, weight=weight, rounded=True) for one in pixels]
    return torch.cat([one for one in each if one is not None])


def hires_pass(
    pipeline: Pipeline,
    resolved: ResolvedRequest,
    images: range,
    first: Tensor | FirstPass,
    progress: Progress,
    resize: Resize,
) -> Tensor:
    """Enlarge what the first pass made and denoise it again: latents at the final size, float32."""
    request = resolved.request
    if isinstance(first, Tensor):
        first = FirstPass(first)
    size = hires_size(request)
    larger, pixels = _enlarged(pipeline, first, request.hr_upscaler, size, resize, _posterior_seeds(resolved, images))

    def extra(shown: Pipeline) -> Tensor | None:
        channels = _extra_channels(shown, resolved, larger, pixels)
        return None if channels is None else _cut(shown, channels, size)

    work = Pass(
        resolved.passes[1],
        init_latent=_cut(pipeline, larger, size),
        extra_channels=extra(pipeline),
        refiner_channels=extra,
    )
    return run_pass(pipeline, resolved, images, work, progress)
