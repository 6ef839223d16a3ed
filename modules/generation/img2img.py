"""img2img and inpainting: a pass that starts from a picture, and the original laid over what it must not touch.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn.functional import interpolate

from modules.generation.colour_correction import match_colours
from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.masking import (
    Box,
    binary_mask,
    blur_mask,
    box_of_ratio,
    fill_masked,
    latent_mask,
    overlay_of,
    padded_box,
    whole_picture_overlay_mask,
)
from modules.generation.passes import Engine, Pass, Progress, latent_shape, pass_noise, run_pass
from modules.generation.resizing import (
    CROP_AND_RESIZE,
    LATENT_UPSCALE,
    RESIZE_AND_FILL,
    Resize,
    flatten,
    lanczos,
    resize_image,
)
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.sampling import InpaintMask, SamplerOptions

FILL, ORIGINAL, LATENT_NOISE, LATENT_NOTHING = 0, 1, 2, 3

DEFAULT_IMAGE_CFG = 1.5
BLANK_MASK = 'The mask is blank: "Only masked" has nothing to work on, so the whole picture was used.'


@dataclass(frozen=True, slots=True)
class Source:
    """What a pass over a picture starts from, in pixels.

    `picture` has the size of the pass. `mask` (grey, white is repainted) too. `overlay` is laid over the result; where
    only a part was worked on, `paste_to` says where it goes in the overlay's picture.
    """

    picture: Image.Image
    mask: Image.Image | None = None
    overlay: Image.Image | None = None
    paste_to: Box | None = None
    notices: tuple[str, ...] = ()


def prepare_source(
    resolved: ResolvedRequest, picture: Image.Image, mask: Image.Image | None, resize: Resize = lanczos
) -> Source:
    """Bring picture and mask to what the pass works on. `resize` enlarges pictures; masks are always resampled."""
    request = resolved.request
    background = str(resolved.options.get("img2img_background_color", "#ffffff"))
    upright = ImageOps.exif_transpose(picture)
    picture = flatten(upright, background)
    size = (request.width, request.height)
    if mask is None:
        return Source(_fitted(picture, request, resize))
    grey = binary_mask(mask, rounded=request.mask_round)
    if request.inpainting_mask_invert:
        grey = ImageOps.invert(grey)
    grey = blur_mask(grey, request.mask_blur_x, request.mask_blur_y)
    if grey.size != picture.size:
        grey = grey.resize(picture.size, Image.Resampling.LANCZOS)
    if request.inpaint_full_res:
        box = padded_box(grey, request.inpaint_full_res_padding)
        if box is None:
            return Source(_fitted(picture, request, resize), notices=(BLANK_MASK,))
        box = box_of_ratio(box, size, picture.size)
        part = resize_image(RESIZE_AND_FILL, picture.crop(box), size, resize)
        part_mask = resize_image(RESIZE_AND_FILL, grey.crop(box), size).convert("L")
        return Source(_content(part, part_mask, request), part_mask, overlay_of(picture, grey), box)
    fitted = _fitted(picture, request, resize)
    whole = (
        grey if request.resize_mode == LATENT_UPSCALE else resize_image(request.resize_mode, grey, size).convert("L")
    )
    over = whole_picture_overlay_mask(whole)
    return Source(_content(fitted, whole, request), whole, overlay_of(fitted, over))


def _fitted(picture: Image.Image, request: GenerationRequest, resize: Resize) -> Image.Image:
    if request.resize_mode == LATENT_UPSCALE:
        return picture
    return resize_image(request.resize_mode, picture, (request.width, request.height), resize)


def _content(picture: Image.Image, mask: Image.Image, request: GenerationRequest) -> Image.Image:
    return picture if request.inpainting_fill == ORIGINAL else fill_masked(picture, mask)


def img2img(engine: Engine, resolved: ResolvedRequest, images: range, source: Source, progress: Progress) -> Tensor:
    """Run the pass over `source` for these images: latents (images, channels, height/8, width/8), float32."""
    request, options = resolved.request, resolved.options
    model = engine.model
    size = (request.width, request.height)
    pixels = to_tensor([source.picture])
    latent = encode_pictures(model.vae, pixels, model.vae_scaling_factor)
    shape = latent_shape(engine, size)[1:]
    if tuple(latent.shape[2:]) != shape:
        latent = interpolate(latent, size=shape, mode="bilinear")
    latent = latent.repeat(len(images), 1, 1, 1)
    painted = None
    if source.mask is not None:
        painted = latent_mask(source.mask, shape, rounded=request.mask_round).to(latent)
        latent = _masked_latent(engine, resolved, images, latent, painted)
    mask = None if painted is None else InpaintMask(latent, 1.0 - painted)
    asked = Pass(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        sampler_name=request.sampler_name,
        scheduler=request.scheduler,
        steps=request.steps,
        cfg_scale=request.cfg_scale,
        size=size,
        strength=request.denoising_strength,
        init_latent=latent,
        noise_multiplier=float(str(options.get("initial_noise_multiplier", 1.0))),
        image_cfg_scale=(request.image_cfg_scale or DEFAULT_IMAGE_CFG) if model.unet_channels == 8 else None,
        mask=mask,
        extra_channels=_extra_channels(engine, resolved, pixels, source.mask, shape, len(images)),
    )
    result = run_pass(engine, resolved, images, asked, progress)
    return result if mask is None else mask.blend(result)


def _masked_latent(engine: Engine, resolved: ResolvedRequest, images: range, latent: Tensor, painted: Tensor) -> Tensor:
    """What stands under the mask at the start: the picture's own latent, noise, or nothing."""
    request = resolved.request
    if request.inpainting_fill == LATENT_NOISE:
        options = SamplerOptions.from_options(resolved.options)
        noise = pass_noise(engine, resolved, images, (request.width, request.height), options).draw()
        return latent * (1.0 - painted) + noise.to(latent) * painted
    if request.inpainting_fill == LATENT_NOTHING:
        return latent * (1.0 - painted)
    return latent


def _extra_channels(
    engine: Engine,
    resolved: ResolvedRequest,
    pixels: Tensor,
    mask: Image.Image | None,
    shape: tuple[int, int],
    images: int,
) -> Tensor | None:
    """What inpainting (9 channels) and instruct-pix2pix (8) checkpoints get beside the latent."""
    model = engine.model
    if model.unet_channels == 8:
        return encode_pictures(model.vae, pixels, 1.0).repeat(images, 1, 1, 1)
    if model.unet_channels != 9:
        return None
    size = (pixels.shape[3], pixels.shape[2])
    painted = torch.ones(1, 1, size[1], size[0])
    if mask is not None:
        grey = (to_tensor([mask])[:, :1] + 1.0) / 2.0
        painted = grey.round() if resolved.request.mask_round else grey
    weight = float(str(resolved.options.get("inpainting_mask_weight", 1.0)))
    hidden = torch.lerp(pixels, pixels * (1.0 - painted), weight)
    latent = encode_pictures(model.vae, hidden, model.vae_scaling_factor)
    small = interpolate(painted, size=shape).to(latent)
    return torch.cat([small, latent], dim=1).repeat(images, 1, 1, 1)


def finish(image: Image.Image, source: Source, *, correct_colours: bool) -> Image.Image:
    """The decoded picture as it is saved: colours matched if asked, put in place, and the original laid over.

    Where the mask is black the result is the source's pixels, to the bit.
    """
    if correct_colours:
        image = match_colours(image, source.picture)
    if source.overlay is None:
        return image
    if source.paste_to is not None:
        left, top, right, bottom = source.paste_to
        canvas = Image.new("RGBA", source.overlay.size)
        canvas.paste(resize_image(CROP_AND_RESIZE, image, (right - left, bottom - top)), (left, top))
        image = canvas
    result = image.convert("RGBA")
    result.alpha_composite(source.overlay)
    return result.convert("RGB")
