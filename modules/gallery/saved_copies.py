"""What the Save and Zip buttons write: copies of chosen pictures, a log of them, archives."""

from __future__ import annotations

import shutil
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from modules.files import SaveError, write_atomic_with
from modules.gallery.log_csv import append_row
from modules.gallery.name_facts import NameFacts, facts_of_infotext
from modules.gallery.naming import file_stem, subfolder
from modules.gallery.reservations import OpenName, Reservations
from modules.parameters import parse_infotext
from modules.parameters.output_options import FileNameOptions, FolderOptions, SavedCopyOptions
from modules.pictures.metadata import read_metadata
from modules.pictures.opening import PictureError
from modules.settings import OptionStore, Paths
from modules.settings.groups import Group, read_options

_ZIP_NAME: Final = "[datetime]_[[model_name]]_[seed]-[seed_last]"


class SavedCopies:
    """The folder of the Save button (setting outdir_save). Safe to use from several threads."""

    def __init__(self, paths: Paths, options: OptionStore) -> None:
        self._paths = paths
        self._options = options
        self._names = Reservations()
        self._log = threading.Lock()

    @property
    def folder(self) -> Path:
        return self._paths.data_dir / self._read(FolderOptions).save

    def _read(self, group: type[Group]) -> Group:
        """A group of the server's options, as they are now."""
        return read_options(group, self._options.as_dict())

    def save(self, pictures: Sequence[Path], now: datetime | None = None) -> tuple[Path, ...]:
        """Copy saved pictures, their parameters with them, under names of their own; the first gets a row in log.csv.

        Raises SaveError.
        """
        described = [self._describe(picture, now or datetime.now()) for picture in pictures]
        copies = tuple(self._copy(picture, facts) for picture, (facts, _) in zip(pictures, described, strict=True))
        if copies and self._read(SavedCopyOptions).write_log:
            with self._log:
                append_row(self.folder / "log.csv", _row(described[0][1], copies[0].name))
        return copies

    def zip(self, pictures: Sequence[Path], now: datetime | None = None) -> Path:
        """An archive of saved pictures as they are. Raises SaveError."""
        facts = [self._describe(picture, now or datetime.now())[0] for picture in pictures]
        if not facts:
            raise SaveError("There is no picture to put into an archive; generate one first.")
        seeds = tuple(fact.seed for fact in facts)
        joint = replace(facts[0], seeds=seeds, batch_size=len(seeds))
        pattern = self._read(SavedCopyOptions).zip_filename_pattern or _ZIP_NAME
        name = OpenName(self.folder, "", file_stem(pattern, joint), ".zip", digits=0)
        return self._write(name, lambda file: write_archive(file, pictures))

    def _describe(self, picture: Path, now: datetime) -> tuple[NameFacts, Mapping[str, str]]:
        """What a picture's own infotext says, for its name and its row."""
        try:
            infotext = read_metadata(picture).infotext
        except PictureError as error:
            raise SaveError(str(error)) from error
        parsed = parse_infotext(infotext)
        return facts_of_infotext(parsed, now, most_words=self._read(FileNameOptions).max_prompt_words), parsed

    def _copy(self, picture: Path, facts: NameFacts) -> Path:
        in_folders, options = self._read(SavedCopyOptions).to_dirs, self._read(FileNameOptions)
        folder = self.folder
        if in_folders:
            folder = subfolder(folder, options.directories_filename_pattern or "[prompt_words]", facts)
        pattern = options.samples_filename_pattern or ("[seed]" if in_folders else "[seed]-[prompt_spaces]")
        digits = 5 if options.add_number else 0
        name = OpenName(folder, "", file_stem(pattern, facts), picture.suffix, digits=digits)

        def copy(file: BinaryIO) -> None:
            with picture.open("rb") as source:
                shutil.copyfileobj(source, file)

        return self._write(name, copy)

    def _write(self, name: OpenName, write: Callable[[BinaryIO], object]) -> Path:
        while True:
            path = self._names.hold(name)
            try:
                write_atomic_with(path, write)
            except FileExistsError:
                continue
            finally:
                self._names.release(path)
            return path


def write_archive(file: BinaryIO, pictures: Sequence[Path]) -> None:
    """Write an archive of pictures under their names; of equal names the later ones get a number. Raises OSError."""
    names: set[str] = set()
    # Pictures are compressed already.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            name, number = picture.name, 0
            while name.lower() in names:
                number += 1
                name = f"{picture.stem}-{number}{picture.suffix}"
            names.add(name.lower())
            archive.write(picture, name)


def _row(parsed: Mapping[str, str], filename: str) -> dict[str, object]:
    return {
        "prompt": parsed["Prompt"],
        "seed": parsed.get("Seed", ""),
        "width": parsed.get("Size-1", ""),
        "height": parsed.get("Size-2", ""),
        "sampler": parsed.get("Sampler", ""),
        "cfgs": parsed.get("CFG scale", ""),
        "steps": parsed.get("Steps", ""),
        "filename": filename,
        "negative_prompt": parsed["Negative prompt"],
        "sd_model_name": parsed.get("Model", ""),
        "sd_model_hash": parsed.get("Model hash", ""),
    }
