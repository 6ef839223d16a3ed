"""Pictures as files: PNG, JPEG, WebP and AVIF with the infotext where A1111 puts it."""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.parameters.infotext_values import printable
from modules.parameters.output_options import ImageFileOptions
from modules.pictures.exif import user_comment_exif

# Longest side a format can hold.
_LONGEST_SIDE: Final = {"jpg": 65500, "jpeg": 65500, "webp": 16383, "avif": 65535}
_PNG_MODES: Final = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
# An EXIF block is one JPEG segment.
_LONGEST_JPEG_EXIF: Final = 65533


def encode_picture(
    image: Image.Image,
    options: ImageFileOptions,
    infotext: str | None,
    *,
    grid: bool = False,
    chunks: Mapping[str, str] | None = None,
) -> tuple[bytes, str]:
    """`image` in the format that the options name, and the extension of its file (without the dot).

    Reads samples_format (grid_format for a `grid`), jpeg_quality, webp_lossless and enable_pnginfo. A picture or an
    infotext too large for the format becomes a PNG, so that nothing is lost. `chunks` are further PNG texts.
    """
    extension = (options.grid_format if grid else options.samples_format).lower().lstrip(".")
    text = printable(infotext or "") if options.enable_pnginfo else ""
    exif = user_comment_exif(text) if text else b""
    if max(image.size) > _LONGEST_SIDE.get(extension, 0):
        extension = "png"
    match extension:
        case "jpg" | "jpeg" if len(exif) <= _LONGEST_JPEG_EXIF:
            return _saved(_without_alpha(image), "JPEG", quality=options.jpeg_quality, exif=exif), extension
        case "webp":
            return _saved(
                _plain(image), "WEBP", quality=options.jpeg_quality, lossless=options.webp_lossless, exif=exif
            ), extension
        case "avif":
            return _saved(_plain(image), "AVIF", quality=options.jpeg_quality, exif=exif), extension
    return _png(image, {"parameters": text, **(chunks or {})}), "png"


def encode_animation(
    frames: Sequence[Image.Image],
    options: ImageFileOptions,
    infotext: str | None,
    *,
    per_second: int,
    and_back: bool = False,
) -> tuple[bytes, str]:
    """Pictures of one size as an animated WebP that repeats for ever, and its extension; one is decoded at a time.

    With `and_back` it goes from the last frame back to the second before it repeats.
    Reads jpeg_quality, webp_lossless and enable_pnginfo. Raises ValueError for frames that the format cannot hold.
    """
    text = printable(infotext or "") if options.enable_pnginfo else ""
    longest = max(max(frame.size) for frame in frames)
    if longest > _LONGEST_SIDE["webp"]:
        raise ValueError(f"Frames of {longest} pixels are too large for an animation.")
    order = [*range(len(frames)), *(range(len(frames) - 2, 0, -1) if and_back else ())]
    return _saved(
        _Frames(frames, order),
        "WEBP",
        save_all=True,
        duration=round(1000 / per_second),
        loop=0,
        quality=options.jpeg_quality,
        lossless=options.webp_lossless,
        exif=user_comment_exif(text) if text else b"",
    ), "webp"


def shareable_copy(image: Image.Image, size: int, options: ImageFileOptions, infotext: str | None) -> bytes | None:
    """The JPEG copy that export_for_4chan wants, or None where the file of `size` bytes needs none.

    Made when the file is larger than img_downscale_threshold megabytes or a side is longer than target_side_length;
    such a side is scaled down to it.
    """
    limit = options.target_side_length
    threshold = options.downscale_threshold * 1024 * 1024
    oversize = max(image.size) > limit
    if not options.export_for_4chan or not (oversize or size > threshold):
        return None
    if oversize:
        scale = limit / max(image.size)
        image = image.resize((_scaled(image.width, scale), _scaled(image.height, scale)), Image.Resampling.LANCZOS)
    data, extension = encode_picture(image, replace(options, samples_format="jpg"), infotext)
    return data if extension == "jpg" else None


def _scaled(side: int, scale: float) -> int:
    return max(1, math.floor(side * scale + 0.5))


def _png(image: Image.Image, texts: Mapping[str, str]) -> bytes:
    info = PngInfo()
    for key, text in texts.items():
        if text:
            info.add_text(key, printable(text))
    # Run-length matching at level 1: half the time of level 6 for photographs, at the same size.
    if image.mode == "I":
        image = image.convert("I;16")
    elif image.mode not in _PNG_MODES:
        image = _plain(image)
    return _saved(image, "PNG", pnginfo=info, compress_level=1, compress_type=zlib.Z_RLE)


class _Frames(Image.Image):
    """Frames as Pillow's animation writer reads them of a file of several: by `seek`, one at a time."""

    def __init__(self, frames: Sequence[Image.Image], order: Sequence[int]) -> None:
        super().__init__()
        self.n_frames = len(order)
        self._frames = frames
        self._order = order
        self.seek(0)

    def seek(self, frame: int) -> None:
        self._frame = frame
        picture = _without_alpha(self._frames[self._order[frame]])
        picture.load()
        self.im, self._mode, self._size = picture.im, picture.mode, picture.size

    def tell(self) -> int:
        return self._frame


def _saved(image: Image.Image, form: str, **parameters: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **parameters)
    return file.getvalue()


def _plain(image: Image.Image) -> Image.Image:
    """`image` in a mode that every format knows, with its transparency."""
    if image.mode in ("RGB", "RGBA", "L"):
        return image
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _without_alpha(image: Image.Image) -> Image.Image:
    plain = _plain(image)
    return plain.convert("RGB") if plain.mode == "RGBA" else plain
