"""Where a picture goes, and getting it there."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from PIL import Image

from modules.gallery.atomic import SaveError, remove_stale_temporaries, save_error, write_atomic
from modules.gallery.encode import shareable_copy
from modules.gallery.name_facts import NameFacts, name_facts
from modules.gallery.naming import below, file_stem, largest_number, subfolder
from modules.gallery.sanitizing import LONGEST_NAME, avoid_device, fit, sanitize
from modules.parameters import ResolvedRequest
from modules.parameters.infotext_values import printable
from modules.settings import OPTIONS, OptionStore, Paths

GRID_KINDS: Final = frozenset({"grid", "xyz_grid", "prompt_matrix"})
_DEFAULTS: Final = {key: option.default for key, option in OPTIONS.items()}
_TRIES: Final = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Name:
    """A file name whose number is still open. Without `digits` it has none, and a `replace`able file gives way."""

    folder: Path
    prefix: str
    stem: str
    tail: str
    digits: int = 5
    replace: bool = False

    def path(self, number: int, longest: int) -> Path:
        """The path with `number`; unnumbered names show it as a suffix, and 0 not at all."""
        if self.digits:
            head = f"{self.prefix}{number:0{self.digits}d}" + ("-" if self.stem else "")
            name = head + fit(self.stem, self.tail, longest=longest - len(head.encode()))
        else:
            name = fit(self.stem or "image", f"-{number}{self.tail}" if number else self.tail, longest=longest)
        return self.folder / avoid_device(name)


class Gallery:
    """The folders of saved pictures. Safe to use from several threads.

    Patterns and formats come from the options that a job froze; folders only from the server's own options, so that no
    request can choose where on the disk it writes.
    """

    def __init__(self, paths: Paths, options: OptionStore) -> None:
        self._paths = paths
        self._options = options
        self._lock = threading.Lock()
        self._reserved: dict[Path, tuple[_Name, int]] = {}

    def folder(self, mode: str, *, grid: bool = False) -> Path:
        """The folder of `txt2img`, `img2img` or `extras` pictures, or of their grids, without subfolders."""
        kind = "grids" if grid else "samples"
        return self._paths.data_dir / (
            self._options.text(f"outdir_{kind}") or self._options.text(f"outdir_{mode}_{kind}")
        )

    def reserve(
        self,
        resolved: ResolvedRequest,
        index: int,
        kind: str = "image",
        now: datetime | None = None,
        *,
        extension: str = "png",
        size: tuple[int, int] | None = None,
        data: bytes | None = None,
    ) -> Path:
        """The path that image `index` of a job is to be saved at. No two reservations are the same.

        `kind` is `image`, a grid (`grid`, `xyz_grid`, `prompt_matrix`), or the suffix of an extra picture (`mask`,
        `before-highres-fix`). `size` and `data`, the encoded picture, are for [width], [height] and [image_hash].
        Creates nothing on disk. Raises SaveError.
        """
        options: Mapping[str, object] = ChainMap(dict(resolved.options), self._options.as_dict(), dict(_DEFAULTS))
        facts = name_facts(
            resolved,
            index,
            now or datetime.now(),
            options=options,
            size=size,
            pixels_hash=None if data is None else lambda: pixels_hash(data),
        )
        name = self._name(resolved.request.mode, kind, extension, facts, options)
        return self._hold(name)

    def _name(self, mode: str, kind: str, extension: str, facts: NameFacts, options: Mapping[str, object]) -> _Name:
        grid = kind in GRID_KINDS
        root = self.folder(mode, grid=grid)
        in_folders = bool(options["grid_save_to_dirs" if grid else "save_to_dirs"])
        folder = root
        if in_folders:
            folder = subfolder(root, str(options["directories_filename_pattern"] or "[prompt_words]"), facts)
        pattern = str(options["samples_filename_pattern"] or ("[seed]" if in_folders else "[seed]-[prompt_spaces]"))
        tail = "." + sanitize(extension).lower().lstrip(".")
        if grid:
            if kind == "grid" and not options["grid_extended_filename"]:
                pattern = "[none]"
            return _Name(folder, f"{kind}-", file_stem(pattern, facts), tail, digits=4)
        if kind != "image":
            tail = f"-{sanitize(kind)}{tail}"
        if options["save_images_add_number"]:
            return _Name(folder, "", file_stem(pattern, facts), tail)
        replace = options["save_images_replace_action"] == "Replace"
        return _Name(folder, "", file_stem(pattern, facts), tail, digits=0, replace=replace)

    def _hold(self, name: _Name) -> Path:
        try:
            return self._free_path(name, _longest_name(name.folder))
        except OSError as error:
            raise save_error(name.folder / f"{name.stem}{name.tail}", error) from error

    def _free_path(self, name: _Name, longest: int) -> Path:
        with self._lock:
            first = self._next_number(name) if name.digits else 0
            for number in range(first, first + _TRIES):
                path = below(name.folder, name.path(number, longest))
                if path not in self._reserved and (name.replace or not path.exists()):
                    self._reserved[path] = (name, number)
                    return path
        raise SaveError(f"{name.folder} has no free name left for {name.stem}{name.tail}; choose another name pattern.")

    def _next_number(self, name: _Name) -> int:
        outstanding = [
            number
            for other, number in self._reserved.values()
            if other.folder == name.folder and other.prefix == name.prefix
        ]
        return 1 + max(largest_number(name.folder, name.prefix), *outstanding, -1)

    def release(self, path: Path) -> None:
        """Give back a reservation that no picture will come for."""
        with self._lock:
            self._reserved.pop(path, None)

    def save(self, path: Path, data: bytes, *, infotext: str | None = None, overwrite: bool = False) -> Path:
        """Write a picture to its reserved path, and beside it what the options ask for (text file, JPEG copy).

        Returns the path it has: the next number, if another program took the name in between. After a restart, a path
        from an old reservation is as good as a fresh one; `overwrite` replaces what an interrupted save left there.
        Raises SaveError.
        """
        with self._lock:
            name, _ = self._reserved.get(path, (None, 0))
        overwrite = overwrite or (name is not None and name.replace)
        saved = path
        try:
            while True:
                try:
                    write_atomic(saved, data, overwrite=overwrite)
                    break
                except FileExistsError:
                    saved = self._hold(name or _Name(path.parent, "", path.stem, path.suffix, digits=0))
        finally:
            self.release(path)
            self.release(saved)
        self._write_companions(saved, data, infotext)
        return saved

    def _write_companions(self, path: Path, data: bytes, infotext: str | None) -> None:
        """The text file and the JPEG copy. The picture is safe by now: what fails here is told, and no more."""
        try:
            if infotext and self._options.switch("save_txt"):
                write_atomic(path.with_suffix(".txt"), f"{printable(infotext)}\n".encode(), overwrite=True)
            if path.suffix not in (".jpg", ".jpeg") and self._options.switch("export_for_4chan"):
                with Image.open(io.BytesIO(data)) as image:
                    copy = shareable_copy(image, len(data), self._options.as_dict(), infotext)
                if copy is not None:
                    write_atomic(path.with_suffix(".jpg"), copy, overwrite=True)
        except (SaveError, OSError, ValueError, Image.DecompressionBombError) as error:
            _log.warning("%s is saved, but what belongs beside it is not: %s", path.name, error)

    def write_params(self, infotext: str) -> None:
        """Keep the last infotext in params.txt, where the read-parameters button finds it. Raises SaveError."""
        write_atomic(self._paths.params_file, printable(infotext).encode(), overwrite=True)

    def read_params(self) -> str:
        """The last infotext, or an empty text."""
        try:
            return self._paths.params_file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def clean(self) -> int:
        """Delete what killed processes left half-written; returns how many files. For the start, off the hot path."""
        roots = {self.folder(mode, grid=grid) for mode in ("txt2img", "img2img") for grid in (False, True)}
        roots |= {self.folder("extras"), self._paths.data_dir / self._options.text("outdir_save")}
        return sum(remove_stale_temporaries(root) for root in roots)


def pixels_hash(data: bytes) -> str:
    """SHA-256 of the raw pixels of an encoded picture, as [image_hash] shows it."""
    with Image.open(io.BytesIO(data)) as image:
        return hashlib.sha256(image.tobytes()).hexdigest()


def _longest_name(folder: Path) -> int:
    """Bytes that a name in `folder` may have; encrypted folders allow fewer than 255."""
    existing = next((place for place in (folder, *folder.parents) if place.is_dir()), None)
    if existing is None or not hasattr(os, "pathconf"):
        return LONGEST_NAME
    try:
        return min(LONGEST_NAME, max(64, os.pathconf(existing, "PC_NAME_MAX")))
    except (OSError, ValueError):
        return LONGEST_NAME
