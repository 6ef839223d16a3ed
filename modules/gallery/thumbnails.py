"""Small copies of pictures, made once and stored in the cache."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from modules.files import write_atomic_with
from modules.pictures.opening import BROKEN, PictureError, read_header, unreadable

_QUALITY: Final = 80


class Thumbnails:
    """WebP copies with sides of at most `side` pixels, in `folder`. A changed picture gets a new one.

    Of pictures with more than `most_pixels` there are none: who shows pictures of unknown origin sets it.
    """

    def __init__(self, folder: Path, side: int = 256, most_pixels: int | None = None) -> None:
        self._folder = folder
        self._side = side
        self._most_pixels = most_pixels

    def path(self, picture: Path) -> Path:
        """Where the thumbnail of `picture`, as it is now, lies or will lie. Raises PictureError if there is none."""
        try:
            state = picture.stat()
        except OSError as error:
            raise PictureError(f"{picture.name} can't be read: {error.strerror}.") from error
        key = f"{picture.resolve()}\0{state.st_mtime_ns}\0{state.st_size}\0{self._side}"
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:40]
        return self._folder / digest[:2] / f"{digest}.webp"

    def of(self, picture: Path) -> Path:
        """The thumbnail of `picture`, made if there is none yet. Raises PictureError or SaveError."""
        path = self.path(picture)
        if not path.is_file():
            small = self._shrunk(picture)
            write_atomic_with(path, lambda file: small.save(file, "WEBP", quality=_QUALITY), overwrite=True)
        return path

    def _shrunk(self, picture: Path) -> Image.Image:
        try:
            with read_header(picture) as image:
                if self._most_pixels is not None and image.width * image.height > self._most_pixels:
                    raise unreadable(picture.name)
                # With this the JPEG decoder works at a fraction of the size.
                image.draft("RGB", (self._side, self._side))
                small = ImageOps.exif_transpose(image)
                small = small.convert("RGBA" if small.has_transparency_data else "RGB")
                small.thumbnail((self._side, self._side), Image.Resampling.LANCZOS)
                return small
        except BROKEN as error:
            raise unreadable(picture.name) from error

    def prune(self, most: int = 20_000) -> int:
        """Delete the oldest thumbnails beyond `most`; returns how many."""
        files = []
        for path in self._folder.glob("*/*.webp"):
            with contextlib.suppress(OSError):
                files.append((path.stat().st_mtime, path))
        old = sorted(files)[: max(0, len(files) - most)]
        for _, path in old:
            path.unlink(missing_ok=True)
        return len(old)
