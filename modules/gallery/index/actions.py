"""What is done to files of the gallery: to the trash and back, moved, copied, renamed, packed. The index follows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final

from modules.files import SaveError, copy_unless_taken, move_unless_taken, save_error, write_atomic
from modules.gallery.index.errors import GalleryError, UnknownEntry
from modules.gallery.index.marks import Marks
from modules.gallery.index.options import IndexOptions
from modules.gallery.index.reading import content_digest, read_picture
from modules.gallery.index.records import IndexedPicture, Outcome
from modules.gallery.index.roots import Roots
from modules.gallery.index.search import Search
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.trash import Trash
from modules.gallery.index.writing import Entry, FileFacts, IndexWriter
from modules.gallery.name_facts import facts_of_infotext
from modules.gallery.naming import file_stem
from modules.gallery.reservations import OpenName, Reservations
from modules.gallery.saved_copies import write_archive
from modules.gallery.stems import stem_of
from modules.parameters import parse_infotext
from modules.parameters.output_options import FileNameOptions
from modules.pictures.metadata import read_metadata
from modules.pictures.opening import PictureError
from modules.pictures.xmp_rating import with_rating
from modules.settings import OptionStore
from modules.settings.groups import read_options

_ESCAPES: Final = ("/", "\\", "\0")


class Actions:
    """Safe to use from any thread. What can't be done to one picture is said of it, and done to the others."""

    def __init__(
        self,
        files: GalleryFiles,
        writer: IndexWriter,
        search: Search,
        roots: Roots,
        trash: Trash,
        options: OptionStore,
    ) -> None:
        self._files, self._writer, self._search = files, writer, search
        self._roots, self._trash, self._options = roots, trash, options
        self._marks = Marks(files)
        self._names = Reservations()

    def trash(self, pictures: Sequence[IndexedPicture]) -> Outcome:
        """Move pictures to the trash."""

        def one(picture: IndexedPicture) -> None:
            if not picture.trashed:
                self._writer.set_trash(picture.row, str(self._trash.put(picture.path)))

        return _each(pictures, one)

    def restore(self, pictures: Sequence[IndexedPicture]) -> Outcome:
        """Bring pictures back from the trash to where they were."""

        def one(picture: IndexedPicture) -> None:
            if picture.trashed:
                self._follow(picture, self._trash.restore(picture.path, picture.home))

        return _each(pictures, one)

    def delete_for_good(self, pictures: Sequence[IndexedPicture]) -> Outcome:
        """Delete pictures that lie in the trash from disk."""

        def one(picture: IndexedPicture) -> None:
            self._trash.remove(picture.path)

        outcome = _each([picture for picture in pictures if picture.trashed], one)
        # Together: a row whose file a kill took first is forgotten by the next full pass.
        self._writer.remove_trashed(outcome.done)
        return outcome

    def move(self, pictures: Sequence[IndexedPicture], folder_id: str) -> Outcome:
        """Move pictures to a folder of the index. Raises UnknownEntry."""
        folder = self._target(folder_id)

        def one(picture: IndexedPicture) -> None:
            if picture.path.parent == folder:
                return
            with self._free_name(folder / picture.path.name) as target:
                move_unless_taken(self._movable(picture), target)
            self._follow(picture, target)

        return _each(pictures, one)

    def copy(self, pictures: Sequence[IndexedPicture], folder_id: str) -> Outcome:
        """Copy pictures to a folder of the index; the outcome names the originals. Raises UnknownEntry."""
        folder = self._target(folder_id)

        def one(picture: IndexedPicture) -> None:
            with self._free_name(folder / picture.path.name) as target:
                copy_unless_taken(self._movable(picture), target)
            self._writer.put([self._entry(picture, target)])

        return _each(pictures, one)

    def rename(self, pictures: Sequence[IndexedPicture], pattern: str) -> Outcome:
        """Name pictures by a pattern of A1111's tokens; names that are taken get a number. Raises GalleryError."""
        if not pattern.strip() or any(sign in pattern for sign in _ESCAPES):
            raise GalleryError("A pattern of names holds no / and is not empty: [datetime]-[seed], say.")
        words = read_options(FileNameOptions, self._options.as_dict()).max_prompt_words

        def one(picture: IndexedPicture) -> None:
            path = self._movable(picture)
            try:
                parsed = parse_infotext(read_metadata(path).infotext)
            except PictureError as error:
                raise GalleryError(str(error)) from error
            made = datetime.fromtimestamp(picture.created)
            facts = facts_of_infotext(parsed, made, most_words=words, basename=path.stem)
            stem = file_stem(pattern, facts)
            if stem.fitted() == path.stem:
                return
            name = OpenName(path.parent, "", stem, path.suffix, digits=0)
            target = self._names.hold(name)
            try:
                move_unless_taken(path, target)
            finally:
                self._names.release(target)
            self._follow(picture, target)

        return _each(pictures, one)

    def write_ratings(self, pictures: Sequence[IndexedPicture]) -> Outcome:
        """Write the ratings of pictures into their files, where the setting `gallery_rating_in_file` says so.

        The file is replaced at once, and keeps its time; its marks go with it.
        """
        if not read_options(IndexOptions, self._options.as_dict()).rating_in_file:
            return Outcome()

        def one(picture: IndexedPicture) -> None:
            path = self._movable(picture)
            try:
                data = path.read_bytes()
                said = read_metadata(data)
                rated = data if said.rating == picture.rating else with_rating(data, picture.rating)
                after = read_metadata(rated)
            except PictureError as error:
                raise GalleryError(f"{picture.name} keeps its file as it is: {error}.") from error
            if rated is data:
                return
            if after != replace(said, rating=picture.rating, items=after.items):
                raise GalleryError(f"{picture.name} keeps its file as it is: what it says would change.")
            before = path.stat()
            write_atomic(path, rated, overwrite=True)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            self._marks.copy(picture.content, bytes.fromhex(content_digest(path)))
            self._writer.put([self._entry(picture, path)])

        return _each(pictures, one)

    def _entry(self, picture: IndexedPicture, path: Path) -> Entry:
        folder = self._writer.folder(path.parent, self._roots.shown(path.parent))
        return Entry(folder, FileFacts.of(path.name, path.stat()), read_picture(path), owner=picture.owner)

    def zip(self, pictures: Sequence[IndexedPicture], file: BinaryIO) -> None:
        """Write an archive of pictures as they are. Raises GalleryError, OSError."""
        write_archive(file, [self._movable(picture) for picture in pictures])

    def _movable(self, picture: IndexedPicture) -> Path:
        if picture.trashed:
            raise GalleryError(f"{picture.name} lies in the trash: restore it first.")
        if not self._roots.holds(picture.path):
            raise GalleryError(f"{picture.name} lies outside the gallery's folders.")
        return picture.path

    def _target(self, folder_id: str) -> Path:
        folder = self._search.folder(folder_id)
        if folder is None or not folder.is_dir() or not self._roots.holds(folder):
            raise UnknownEntry("There is no such folder in the gallery any more.")
        return folder

    @contextmanager
    def _free_name(self, wanted: Path) -> Iterator[Path]:
        """A name like `wanted` that is free, held for this while."""
        held = self._names.hold(OpenName(wanted.parent, "", stem_of(wanted.stem), wanted.suffix, digits=0))
        try:
            yield held
        finally:
            self._names.release(held)

    def _follow(self, picture: IndexedPicture, path: Path) -> None:
        """Write where a picture's file is now."""
        folder = self._writer.folder(path.parent, self._roots.shown(path.parent))
        self._writer.move(picture.row, folder, FileFacts.of(path.name, path.stat()))


def _each(pictures: Sequence[IndexedPicture], do: Callable[[IndexedPicture], None]) -> Outcome:
    outcome = Outcome()
    for picture in pictures:
        try:
            do(picture)
            outcome.done.append(picture.row)
        except FileNotFoundError:
            outcome.refused[picture.row] = f"{picture.name} is gone: somebody moved or deleted it."
        except FileExistsError:
            outcome.refused[picture.row] = f"{picture.name} stays: its new name was taken in this moment."
        except (GalleryError, SaveError) as error:
            outcome.refused[picture.row] = str(error)
        except OSError as error:
            outcome.refused[picture.row] = str(save_error(picture.path, error))
    return outcome
