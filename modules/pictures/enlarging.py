"""Enlarging a finished picture by A1111's rules: any upscaler, its result brought to the requested size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from PIL import Image

from modules.parameters.extras_request import NO_UPSCALER, SCALE_BY, ExtrasRequest
from modules.pictures.opening import PictureError
from modules.pictures.size import Size

MOST_RESULT_PIXELS: Final = 200_000_000
_APPLICATIONS: Final = 3
_CELL: Final = 8

# One application of an upscaler: it gets the factor that is wanted, and may enlarge by its own instead.
Once = Callable[[Image.Image, float], Image.Image]


def resampling(method: Image.Resampling) -> Once:
    """An upscaler without a model."""
    return lambda image, scale: image.resize(_times(image.size, scale), method)


PLAIN: Final[Mapping[str, Once]] = {
    "Lanczos": resampling(Image.Resampling.LANCZOS),
    "Nearest": resampling(Image.Resampling.NEAREST),
}


def plain(name: str) -> Once:
    """The upscaler without a model that is called `name`. Raises PictureError for any other."""
    if name not in PLAIN:
        raise PictureError(f"The upscaler {name[:80]!r} is not here; choose one of the list.")
    return PLAIN[name]


def upscaled(image: Image.Image, scale: float, once: Once, size: Size | None = None) -> Image.Image:
    """`image` enlarged by `scale`: the upscaler at most three times, then Lanczos to the size.

    A1111's rule: sides are cut to multiples of 8 (`size` says another size), an upscaler is applied until the picture
    is large enough, and also for a scale of 1. Raises PictureError for a result of too many megapixels.
    """
    wanted = size or eights(image.size, scale)
    check_size(wanted)
    for number in range(_APPLICATIONS):
        large = image.width >= wanted[0] and image.height >= wanted[1]
        if large and (number > 0 or scale != 1):
            break
        before = image.size
        image = once(image, scale)
        if image.size == before:
            break
    return image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS)


def resize_to(image: Image.Image, size: Size, once: Once | None) -> Image.Image:
    """`image` stretched to exactly `size`; the upscaler, where there is one, does the enlarging."""
    scale = max(size[0] / image.width, size[1] / image.height)
    if once is not None and scale > 1:
        image = upscaled(image, scale, once)
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def enlarged(image: Image.Image, settings: ExtrasRequest, upscaler: Callable[[str], Once] = plain) -> Image.Image:
    """`image` enlarged as `settings` say. Raises PictureError for a missing upscaler and for too large a result."""
    if settings.upscaler_1 == NO_UPSCALER:
        return image
    result = _by_one(image, settings, upscaler(settings.upscaler_1))
    if not settings.blends:
        return result
    second = _by_one(image, settings, upscaler(settings.upscaler_2))
    return Image.blend(result, second, settings.extras_upscaler_2_visibility)


def enlarging_facts(size: Size, settings: ExtrasRequest) -> dict[str, str]:
    """What is written into the picture about enlarging one of `size`, in A1111's words."""
    if settings.upscaler_1 == NO_UPSCALER:
        return {}
    if settings.resize_mode == SCALE_BY:
        facts = {"Postprocess upscale by": f"{factor(size, settings):g}"}
    else:
        wanted = f"{settings.upscaling_resize_w}x{settings.upscaling_resize_h}"
        facts = {"Postprocess upscale to": wanted}
        if settings.upscaling_crop:
            facts["Postprocess crop to"] = wanted
    facts["Postprocess upscaler"] = settings.upscaler_1
    if settings.blends:
        facts["Postprocess upscaler 2"] = settings.upscaler_2
    return facts


def factor(size: Size, settings: ExtrasRequest) -> float:
    """By how much a picture of `size` is enlarged."""
    if settings.resize_mode == SCALE_BY:
        scale = settings.upscaling_resize
        if settings.max_side_length and max(size) * scale > settings.max_side_length:
            scale = settings.max_side_length / max(size)
        return scale
    return max(settings.upscaling_resize_w / size[0], settings.upscaling_resize_h / size[1])


def target_size(size: Size, settings: ExtrasRequest) -> Size:
    """The size that a picture of `size` is enlarged to, before it is cut."""
    wanted = eights(size, factor(size, settings))
    if settings.resize_mode == SCALE_BY or not settings.upscaling_crop:
        return wanted
    # Of sizes that are no multiples of 8, A1111 leaves a black border; here the picture covers them.
    return max(wanted[0], settings.upscaling_resize_w), max(wanted[1], settings.upscaling_resize_h)


def eights(size: Size, scale: float) -> Size:
    """`size` times `scale`, cut to multiples of 8; below that to whole pixels."""
    # 300 * (512 / 300) is a hair below 512, which is no reason to fall to 504.
    width, height = (int(side * scale + 1e-6) // _CELL * _CELL for side in size)
    small = _times(size, scale)
    return width or small[0], height or small[1]


def check_size(size: Size) -> None:
    """Refuse a result that would not fit into memory, before it is made. Raises PictureError."""
    if size[0] * size[1] > MOST_RESULT_PIXELS:
        sentence = f"{size[0]}x{size[1]}: more than {MOST_RESULT_PIXELS // 10**6} megapixels"
        raise PictureError(f"The result would be {sentence}; enlarge by less.")


def _by_one(image: Image.Image, settings: ExtrasRequest, once: Once) -> Image.Image:
    size = target_size(image.size, settings)
    larger = upscaled(image, factor(image.size, settings), once, size)
    if settings.resize_mode == SCALE_BY or not settings.upscaling_crop:
        return larger
    wanted = settings.upscaling_resize_w, settings.upscaling_resize_h
    left, top = ((have - want) // 2 for have, want in zip(size, wanted, strict=True))
    return larger.crop((left, top, left + wanted[0], top + wanted[1]))


def _times(size: Size, scale: float) -> Size:
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
