"""New previews of models, out of pictures that were made here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from modules.catalogue.cards import Card
from modules.files import save_error, write_atomic
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import PictureError
from modules.pictures.encode import encode_picture
from modules.pictures.opening import open_picture

_WRITTEN: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif"})
_SAME: Final = {".jpeg": ".jpg"}


def replace_preview(card: Card, picture: Path, infotext: str, options: ImageFileOptions) -> Path:
    """Make a saved picture, with its parameters, the preview of a card. Returns the preview's path.

    It takes the place of the one that is shown, in its format. Where there is none, it gets A1111's name.
    Raises PictureError and SaveError.
    """
    target = preview_target(card, options.samples_format)
    try:
        data = picture.read_bytes()
    except OSError as error:
        raise PictureError(f"{picture.name} can't be read: {error.strerror or error}.") from error
    if _plain(picture.suffix) != _plain(target.suffix):
        image = open_picture(data, picture.name)
        wanted = replace(options, samples_format=target.suffix[1:], enable_pnginfo=True)
        data, extension = encode_picture(image, wanted, infotext)
        target = target.with_suffix(f".{extension}") if _plain(target.suffix) != f".{extension}" else target
    try:
        write_atomic(target, data, overwrite=True)
    except OSError as error:
        raise save_error(target, error) from error
    return target


def preview_target(card: Card, samples_format: str) -> Path:
    """Where a new preview goes, so that it is the one that is shown from then on."""
    shown, model = card.files.preview, card.files.model.path
    if shown is not None and shown.path != model and shown.path.suffix.lower() in _WRITTEN:
        return shown.path
    suffix = f".{samples_format.lower().lstrip('.')}"
    # A PNG goes before a preview of a kind that is not written here.
    suffix = ".png" if shown is not None or suffix not in _WRITTEN else suffix
    between = "" if card.kind in ("lora", "checkpoints") else ".preview"
    return model.with_suffix(between + suffix)


def _plain(suffix: str) -> str:
    return _SAME.get(suffix.lower(), suffix.lower())
