"""Where a picture goes, and getting it there."""

from __future__ import annotations

import hashlib
import logging
from collections import ChainMap
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from modules.files import SaveError, decoded, remove_stale_temporaries, write_atomic
from modules.gallery.name_facts import NameFacts, name_facts
from modules.gallery.naming import file_stem, subfolder
from modules.gallery.reservations import OpenName, Reservations
from modules.gallery.sanitizing import sanitize
from modules.gallery.stems import Cut, Piece, Stem, stem_of
from modules.parameters import BatchFile, ResolvedRequest
from modules.parameters.extras_request import ExtrasRequest
from modules.parameters.infotext_values import printable
from modules.parameters.job_options import EncodingOptions
from modules.parameters.output_options import ExtrasNameOptions, FileNameOptions, FolderOptions, ImageFileOptions
from modules.pictures.encode import shareable_copy
from modules.pictures.opening import BROKEN, read_header
from modules.settings import OptionStore, Paths
from modules.settings.groups import read_options

GRID_KINDS: Final = frozenset({"grid", "xyz_grid", "prompt_matrix"})
# The suffix of a file that holds a job's pictures one after the other.
ANIMATION: Final = "animation"
# What the kinds of ControlNet's maps begin with; a number follows.
DETECTED_MAP: Final = "detected-map"
# The picture that a job started from (setting save_init_img).
INIT_PICTURE: Final = "init"

_log = logging.getLogger(__name__)


class Gallery:
    """The folders of saved pictures. Safe to use from several threads.

    Patterns and formats come from the options that a job froze; folders only from the server's own options, so that no
    request can choose where on the disk it writes.
    """

    def __init__(self, paths: Paths, options: OptionStore) -> None:
        self._paths = paths
        self._options = options
        self._names = Reservations()

    def folder(self, mode: str, *, grid: bool = False) -> Path:
        """The folder of `txt2img`, `img2img` or `extras` pictures, or of their grids, without subfolders."""
        return self._paths.data_dir / self._folders.of(mode, grid=grid)

    @property
    def _folders(self) -> FolderOptions:
        """As the server's options are now."""
        return read_options(FolderOptions, self._options.as_dict())

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
        taken: Collection[Path] = (),
    ) -> Path:
        """The path that image `index` of a job is to be saved at. No two reservations are the same.

        `taken` are the job's own pictures: they are not replaced, whatever the pattern and the settings say.

        `kind` is `image`, a grid (`grid`, `xyz_grid`, `prompt_matrix`), or the suffix of an extra picture (`mask`,
        `before-highres-fix`). `size` and `data`, the encoded picture, are for [width], [height] and [image_hash].
        Creates nothing on disk. Raises SaveError.
        """
        values = ChainMap(dict(resolved.options), self._options.as_dict())
        options = read_options(FileNameOptions, values)
        facts = name_facts(
            resolved,
            index,
            now or datetime.now(),
            clip_skip=read_options(EncodingOptions, values).clip_skip,
            most_words=options.max_prompt_words,
            size=size,
            pixels_hash=None if data is None else lambda: pixels_hash(data),
        )
        if kind == INIT_PICTURE and data is not None:
            return self._names.hold(self._of_init_picture(data))
        batch = resolved.request.batch
        if batch is not None and batch.folder is not None and kind not in GRID_KINDS:
            name = _beside_the_others(batch, index if resolved.image_count > 1 else None, kind, extension)
        else:
            name = self._name(resolved.request.mode, kind, extension, facts, options)
        return self._names.hold(name, taken)

    def reserve_extras(
        self, request: ExtrasRequest, index: int, kind: str = "image", *, extension: str = "png"
    ) -> Path:
        """The path for a picture of an Extras job: a number, or in a batch the name of the picture it came from.

        As in A1111 the folder has no subfolders. Raises SaveError.
        """
        folder = Path(request.output_dir) if request.output_dir else self.folder("extras")
        options = read_options(ExtrasNameOptions, self._options.as_dict())
        stem = Stem()
        if request.batch and index < len(request.names) and options.original_name:
            stem = stem_of(Path(request.names[index]).stem)
        ending = "".join(f"-{name}" for name in request.upscalers) if options.upscaler_suffix else ""
        ending += "" if kind == "image" else f"-{kind}"
        tail = f"{sanitize(ending)}.{sanitize(extension).lower().lstrip('.')}"
        return self._names.hold(OpenName(folder, "", stem, tail, digits=0 if stem else 5))

    def _name(self, mode: str, kind: str, extension: str, facts: NameFacts, options: FileNameOptions) -> OpenName:
        grid = kind in GRID_KINDS
        root = self.folder(mode, grid=grid)
        in_folders = options.grid_save_to_dirs if grid else options.save_to_dirs
        folder = root
        if in_folders:
            folder = subfolder(root, options.directories_filename_pattern or "[prompt_words]", facts)
        pattern = options.samples_filename_pattern or ("[seed]" if in_folders else "[seed]-[prompt_spaces]")
        tail = "." + sanitize(extension).lower().lstrip(".")
        if grid:
            if kind == "grid" and not options.grid_extended_filename:
                pattern = "[none]"
            return OpenName(folder, f"{kind}-", file_stem(pattern, facts), tail, digits=4)
        if kind != "image":
            tail = f"-{sanitize(kind)}{tail}"
        if options.add_number:
            return OpenName(folder, "", file_stem(pattern, facts), tail)
        replace = options.replace_action == "Replace"
        return OpenName(folder, "", file_stem(pattern, facts), tail, digits=0, replace=replace)

    def _of_init_picture(self, data: bytes) -> OpenName:
        """Named by its pixels, as A1111 does: a picture that ten jobs start from lies there once."""
        with read_header(data) as image:
            name = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
        folder = self._paths.data_dir / self._folders.init_images
        return OpenName(folder, "", stem_of(name), ".png", digits=0, replace=True)

    def release(self, path: Path) -> None:
        """Give back a reservation that no picture will come for."""
        self._names.release(path)

    def save(
        self,
        path: Path,
        data: bytes,
        *,
        infotext: str | None = None,
        options: ImageFileOptions | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write a picture to its reserved path, and beside it what the job's `options` want (text file, JPEG copy).

        Returns the path it has: the next number, if another program took the name in between. After a restart, a path
        from an old reservation is as good as a fresh one; `overwrite` replaces what an interrupted save left there.
        Raises SaveError.
        """
        name = self._names.of(path)
        replace = overwrite or (name is not None and name.replace)
        saved = path
        try:
            while True:
                try:
                    write_atomic(saved, data, overwrite=replace)
                    break
                except FileExistsError:
                    saved = self._names.hold(name or _named_anew(path))
        finally:
            self.release(path)
            self.release(saved)
        if self._folders.log_to_stdout:
            _log.info("Saved %s", saved)
        options = options or read_options(ImageFileOptions, self._options.as_dict())
        self._write_companions(saved, data, infotext, options, replace=replace)
        return saved

    def _write_companions(
        self, path: Path, data: bytes, infotext: str | None, options: ImageFileOptions, *, replace: bool
    ) -> None:
        """The text file and the JPEG copy. The picture is safe by now: what fails here is only logged."""
        try:
            if infotext and options.save_txt:
                write_atomic(path.with_suffix(".txt"), f"{printable(infotext)}\n".encode(), overwrite=True)
            if path.suffix not in (".jpg", ".jpeg") and options.export_for_4chan:
                with read_header(data) as image:
                    copy = shareable_copy(image, len(data), options, infotext)
                if copy is not None:
                    # A JPEG of that name may be another job's picture.
                    write_atomic(path.with_suffix(".jpg"), copy, overwrite=replace)
        except FileExistsError:
            _log.warning("%s has no smaller copy beside it: a JPEG of that name is there already.", path.name)
        except (SaveError, *BROKEN) as error:
            _log.warning("%s is saved, but what belongs beside it is not: %s", path.name, error)

    def write_params(self, infotext: str) -> None:
        """Write the last infotext to params.txt, where the read-parameters button finds it. Raises SaveError."""
        write_atomic(self._paths.params_file, printable(infotext).encode(), overwrite=True)

    def read_params(self) -> str:
        """The last infotext, or an empty text."""
        try:
            return decoded(self._paths.params_file.read_bytes())
        except OSError:
            return ""

    def clean(self) -> int:
        """Delete what killed processes left half-written; returns how many files. For the start, off the hot path."""
        roots = {self.folder(mode, grid=grid) for mode in ("txt2img", "img2img") for grid in (False, True)}
        roots |= {self.folder("extras"), self._paths.data_dir / self._folders.save}
        return sum(remove_stale_temporaries(root) for root in roots)


def _beside_the_others(batch: BatchFile, index: int | None, kind: str, extension: str) -> OpenName:
    """The name of a batch's picture in the folder of its own: that of the file it came from, its number if several."""
    number = () if index is None else (Piece(f"-{index + 1}"),)
    stem = Stem((Piece(batch.stem, Cut.NAME), *number))
    tail = ("" if kind == "image" else f"-{sanitize(kind)}") + "." + sanitize(extension).lower().lstrip(".")
    return OpenName(Path(str(batch.folder)), "", stem, tail, digits=0)


def _named_anew(path: Path) -> OpenName:
    """A name for a path of which no reservation is known any more."""
    return OpenName(path.parent, "", stem_of(path.stem), path.suffix, digits=0)


def pixels_hash(data: bytes) -> str:
    """SHA-256 of the raw pixels of an encoded picture, as [image_hash] shows it."""
    with read_header(data) as image:
        return hashlib.sha256(image.tobytes()).hexdigest()
