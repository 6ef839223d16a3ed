"""Sequences of frames: from one picture to another, and the animation that is made of any of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from PIL import Image
from torch import Tensor

from modules.features.sequences.declare import InterpolatePicturesArguments, SequenceArguments
from modules.features.stage import Extra, Stage
from modules.gallery import ANIMATION
from modules.generation.img2img import Start, start_of
from modules.generation.init_picture import InitPicture, prepare_init_picture
from modules.parameters import ResolvedRequest
from modules.pictures import encode_animation

# Latents that point almost the same way are mixed linearly: there is no arc between them.
_PARALLEL = 0.9995


def between_pictures(stage: Stage, index: int) -> Image.Image:
    """Frame `index`: the two pictures' latents mixed, and gone over. The first and the last are plain img2img."""
    resolved, arguments = stage.resolved.of_image(index), stage.read(InterpolatePicturesArguments)
    share = arguments.shares()[index % arguments.frames]
    first, second = (prepare_init_picture(resolved, picture, None, stage.resize) for picture in stage.pictures[:2])
    if share in (0.0, 1.0):
        return stage.over(resolved, second if share else first)
    start = mixed(_encoded(stage, resolved, 0, first), _encoded(stage, resolved, 1, second), share)
    size = first.picture.size
    return stage.over(
        resolved, InitPicture(Image.blend(first.picture, _of_size(second.picture, size), share)), start=start
    )


def _of_size(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)


def _encoded(stage: Stage, resolved: ResolvedRequest, number: int, source: InitPicture) -> Start:
    """The same for every frame: encoded once."""
    if number not in stage.starts:
        stage.starts[number] = start_of(stage.pipeline, resolved, range(1), source)
    return stage.starts[number]


def mixed(first: Start, second: Start, share: float) -> Start:
    """What lies `share` of the way from one start to the other, as long as both of them."""
    extra = None
    if first.extra is not None and second.extra is not None:
        extra = torch.lerp(first.extra, second.extra, share)
    return Start(along_arc(first.latent, second.latent, share), extra=extra)


def along_arc(low: Tensor, high: Tensor, share: float) -> Tensor:
    """Spherical interpolation of whole latents (images, ...): length and direction go evenly from one to the other."""
    flat_low, flat_high = low.flatten(1), high.flatten(1)
    lengths = flat_low.norm(dim=1), flat_high.norm(dim=1)
    cosine = (flat_low * flat_high).sum(1) / (lengths[0] * lengths[1]).clamp_min(1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle).clamp_min(1e-6)
    round_the_arc = cosine.abs() < _PARALLEL
    from_low = torch.where(round_the_arc, torch.sin((1 - share) * angle) / sine, torch.full_like(sine, 1 - share))
    from_high = torch.where(round_the_arc, torch.sin(share * angle) / sine, torch.full_like(sine, share))
    shape = (-1, *[1] * (low.dim() - 1))
    return low * from_low.view(shape) + high * from_high.view(shape)


def animation(kind: type[SequenceArguments], stage: Stage, pictures: Sequence[Image.Image]) -> Iterator[Extra]:
    """An animated WebP of each sequence that the script with arguments of this `kind` made."""
    arguments = stage.read(kind)
    count, per_second, back = arguments.frames, arguments.frames_per_second, arguments.and_back
    for first in range(0, len(pictures), count):
        frames = pictures[first : first + count]
        encode = partial(encode_animation, frames, stage.settings.files, per_second=per_second, and_back=back)
        yield Extra(ANIMATION, frames[0], first, encode=encode)
