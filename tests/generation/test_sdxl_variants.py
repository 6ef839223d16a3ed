"""SDXL's inpainting, editing and distilled models, from files in the original layout, against diffusers: 1e-4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_instruct_pix2pix import (
    StableDiffusionXLInstructPix2PixPipeline,
)

from modules.generation.encoding import encode_pictures, to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline
from modules.generation.tiling import edges_joined
from modules.generation.txt2img import txt2img
from modules.sampling import ImageNoise
from tests.amounts import some
from tests.checkpoints import (
    TINY_COSXL,
    TINY_KOALA,
    TINY_SD2,
    TINY_SDXL,
    TINY_SSD,
    Architecture,
    make_modules,
)
from tests.generation.test_against_pipelines import OURS, QUIET, SIGMAS, THEIRS, mask, picture, same
from tests.generation.test_sdxl_against_pipelines import ARGUMENTS, NOISE, pipeline_of, request, xl_pipeline

__all__ = ["pipeline_of"]

TEXTS = {"prompt": "a red circle! on blue", "negative_prompt": "blue"}


@pytest.mark.long
@pytest.mark.parametrize("architecture", some([TINY_SSD, TINY_KOALA], 1), ids=some(["SSD-1B", "KOALA"], 1))
def test_models_with_fewer_blocks_are_those_of_diffusers(
    pipeline_of: Callable[..., Pipeline], architecture: Architecture
) -> None:
    """diffusers is given its own UNet here, not the one that was built from the file's shapes."""
    pipeline = pipeline_of(architecture)
    made = xl_pipeline(StableDiffusionXLPipeline, pipeline)
    made.unet = make_modules(architecture).unet
    made.unet.register_to_config(sample_size=64)
    theirs = made(**TEXTS, latents=NOISE, width=64, height=96, **ARGUMENTS).images
    assert same(txt2img(pipeline, request(), range(1), QUIET), theirs)


@pytest.mark.parametrize(("channels", "weight"), some([(4, 1.0), (9, 1.0), (9, 0.4)], 1))
def test_inpainting_is_that_of_diffusers(pipeline_of: Callable[..., Pipeline], channels: int, weight: float) -> None:
    pipeline = pipeline_of(replace(TINY_SDXL, in_channels=channels))
    options = {"inpainting_mask_weight": weight}
    masked = {"mode": "img2img", "mask": "stored", "denoising_strength": OURS, "height": 64}
    resolved = request(options, **masked, mask_blur_x=0, mask_blur_y=0)
    model, source = pipeline.model, prepare_init_picture(resolved, picture(), mask())
    start = start_of(pipeline, resolved, range(1), source)
    pixels, painted = to_tensor([picture()]), (to_tensor([mask()])[:, :1] + 1) / 2
    hidden = pixels * (1 - painted * weight)
    theirs = xl_pipeline(StableDiffusionXLInpaintPipeline, pipeline)(
        **TEXTS,
        image=start.latent,
        mask_image=mask(),
        masked_image_latents=encode_pictures(model.vae, hidden, model.latent_scaling),
        height=64,
        width=64,
        strength=THEIRS,
        generator=torch.Generator().manual_seed(7),
        **ARGUMENTS,
    ).images
    ours = img2img(pipeline, resolved, range(1), source, QUIET)
    # diffusers leaves it to a checkpoint of 9 channels to keep the picture; A1111 keeps it in the latents as well.
    assert same(ours, theirs) is (channels == 4)
    if channels == 9:
        assert same(img2img(pipeline, resolved, range(1), source, QUIET, replace(start, painted=None)), theirs)


@pytest.mark.long
@pytest.mark.parametrize("image_scale", [1.5, 2.5])
def test_editing_is_instruct_pix2pix_of_diffusers(pipeline_of: Callable[..., Pipeline], image_scale: float) -> None:
    """It starts from noise alone there: ours at strength 1, with the picture under the noise taken along."""
    pipeline = pipeline_of(replace(TINY_SDXL, in_channels=8))
    resolved = request(mode="img2img", denoising_strength=1.0, image_cfg_scale=image_scale, height=64)
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    noise = ImageNoise((4, 8, 8), [7], source="CPU").draw()
    theirs = xl_pipeline(StableDiffusionXLInstructPix2PixPipeline, pipeline)(
        **TEXTS,
        image=picture(),
        image_guidance_scale=image_scale,
        latents=noise + start.latent / float(SIGMAS[0]),
        height=64,
        width=64,
        **ARGUMENTS,
    ).images
    assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs)


@pytest.mark.long
@torch.no_grad()
@pytest.mark.parametrize("architecture", [TINY_SDXL, TINY_SD2, TINY_COSXL], ids=["XL", "2", "CosXL"])
def test_edges_that_are_joined_leave_no_place_where_a_picture_ends(
    pipeline_of: Callable[..., Pipeline], architecture: Architecture
) -> None:
    """Turning what goes in turns what comes out, and nothing else changes: of the UNet and of the VAE."""
    model = pipeline_of(architecture).model
    x = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    context = torch.randn(1, 5, model.context_dim, generator=torch.Generator().manual_seed(2))
    beside = {"text_embeds": context[:, 0, : model.text_widths[-1]], "time_ids": torch.zeros(1, 6)}

    def both(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return model.unet(x, 321, context, added_cond_kwargs=beside).sample, model.vae.decode(x).sample

    def turned(x: torch.Tensor, factor: int = 1) -> torch.Tensor:
        return x.roll((2 * factor, 4 * factor), (2, 3))

    def differences() -> list[float]:
        plain, moved = both(x), both(turned(x))
        pairs = zip(plain, moved, (1, model.vae_factor), strict=True)
        return [float((turned(one, factor) - other).abs().max() / other.std()) for one, other, factor in pairs]

    with edges_joined(model, True):
        assert max(differences()) < 1e-4
    assert min(differences()) > 1e-2
