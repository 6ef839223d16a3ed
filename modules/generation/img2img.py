"""img2img and inpainting: a pass that starts from a picture.

Behaviour reproduced: A1111 v1.10.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from modules.generation.encoding import to_tensor
from modules.generation.image_conditioning import of_picture
from modules.generation.init_picture import InitPicture
from modules.generation.masking import latent_mask
from modules.generation.passes import latent_shape, run_pass
from modules.generation.pipeline import ExtraChannels, MaskHook, Pass, Pipeline, Progress, mask_hook
from modules.parameters import ResolvedRequest
from modules.sampling import ImageNoise, InpaintMask


@dataclass(frozen=True, slots=True)
class Start:
    """What a pass over a picture starts from, in latents.

    `latent` is (images, channels, height, width), `painted` the share of each cell that is repainted, (height, width)
    or with the images' own (images, 1, height, width),
    `extra` what the checkpoint is shown beside the latent, `noise` what is added instead of that of the seeds.
    `refiner_extra` gives what its refiner is shown.
    """

    latent: Tensor
    painted: Tensor | None = None
    extra: Tensor | None = None
    soft: MaskHook | None = None
    noise: Tensor | None = None
    refiner_extra: ExtraChannels | None = None

    @property
    def mask(self) -> InpaintMask | None:
        if self.painted is None:
            return None
        return InpaintMask(self.latent, 1.0 - self.painted, self.soft.blend if self.soft else None)


def start_of(pipeline: Pipeline, resolved: ResolvedRequest, images: range, source: InitPicture) -> Start:
    """Encode `source` for these images. The VAE is called here, and not in the pass."""
    request, model = resolved.request, pipeline.model
    shape = latent_shape(pipeline, (request.width, request.height))[1:]
    pixels = to_tensor([source.picture])
    latent = pipeline.codec.encode(model, pixels)
    if tuple(latent.shape[2:]) != shape:
        latent = interpolate(latent, size=shape, mode="bilinear")
    latent = seen = latent.repeat(len(images), 1, 1, 1)
    soft = None if source.mask is None else mask_hook(pipeline.features(resolved))
    rounded = request.mask_round and soft is None
    painted = None
    if source.mask is not None:
        painted = latent_mask(source.mask, shape, rounded=rounded).to(latent)
        latent = _masked_latent(pipeline, resolved, images, latent, painted)
    weight = resolved.settings.img2img.mask_weight

    def extra(shown: Pipeline) -> Tensor | None:
        if shown.model.family.sees_pictures:
            return None if resolved.settings.img2img.hides_picture else seen
        return of_picture(shown.model, pixels, source.mask, shape, len(images), weight=weight, rounded=rounded)

    return Start(latent, painted, extra(pipeline), soft, refiner_extra=extra)


def start_of_each(
    pipeline: Pipeline, resolved: ResolvedRequest, images: range, sources: Sequence[InitPicture]
) -> Start:
    """Where every image has a picture of its own: the first image the first, and round again when they are used up."""
    if len(sources) == 1:
        return start_of(pipeline, resolved, images, sources[0])
    each = [start_of(pipeline, resolved, range(i, i + 1), sources[i % len(sources)]) for i in images]
    latent = torch.cat([start.latent for start in each])
    painted = None
    if any(start.painted is not None for start in each):
        # One whose mask left nothing to work on is repainted whole.
        whole = torch.ones_like(latent[0, :1])
        painted = torch.stack([whole if start.painted is None else start.painted[None] for start in each])
    soft = next((start.soft for start in each if start.soft is not None), None)

    def refiner_extra(refiner: Pipeline) -> Tensor | None:
        return _joined(None if start.refiner_extra is None else start.refiner_extra(refiner) for start in each)

    return Start(latent, painted, _joined(start.extra for start in each), soft, refiner_extra=refiner_extra)


def _joined(extra: Iterable[Tensor | None]) -> Tensor | None:
    """What each image of a batch is shown, where anything is."""
    found = [one for one in extra if one is not None]
    return torch.cat(found) if found else None


def img2img(
    pipeline: Pipeline,
    resolved: ResolvedRequest,
    images: range,
    source: InitPicture,
    progress: Progress,
    start: Start | None = None,
) -> Tensor:
    """Run the pass over `source` for these images: latents (images, channels, height/8, width/8), float32."""
    start = start or start_of(pipeline, resolved, images, source)
    mask = start.mask
    work = Pass(
        resolved.passes[0],
        init_latent=start.latent,
        noise_multiplier=resolved.settings.img2img.noise_multiplier,
        image_cfg_scale=resolved.request.image_cfg_scale,
        mask=mask,
        extra_channels=start.extra,
        noise=start.noise,
        refiner_channels=start.refiner_extra,
        source=source,
    )
    result = run_pass(pipeline, resolved, images, work, progress)
    return result if mask is None else mask.finished(result)


def _masked_latent(
    pipeline: Pipeline, resolved: ResolvedRequest, images: range, latent: Tensor, painted: Tensor
) -> Tensor:
    """What stands under the mask at the start: the picture's own latent, noise of the image's seed, or nothing."""
    match resolved.request.inpainting_fill:
        case 2:  # latent noise
            shape = (latent.shape[1], latent.shape[2], latent.shape[3])
            seeds, source = [resolved.seeds[index] for index in images], resolved.settings.sampling.randn_source
            noise = ImageNoise(shape, seeds, source=source, device=pipeline.device).draw()
            return latent * (1.0 - painted) + noise.to(latent) * painted
        case 3:  # latent nothing
            return latent * (1.0 - painted)
    return latent
