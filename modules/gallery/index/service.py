"""The gallery as page and API use it. Every method may be called from any thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.gallery.index.actions import Actions
from modules.gallery.index.completion import complete
from modules.gallery.index.errors import GalleryError, UnknownPicture
from modules.gallery.index.history import PromptHistory
from modules.gallery.index.marks import Marks
from modules.gallery.index.meaning import Eyes, Meaning
from modules.gallery.index.options import IndexOptions
from modules.gallery.index.records import Completion, IndexedPicture, Indexing, Looker, Outcome
from modules.gallery.index.roots import Roots
from modules.gallery.index.scanner import Scanner
from modules.gallery.index.search import EVERYBODY, Search
from modules.gallery.index.similar import Similar
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.trash import Trash
from modules.gallery.index.trash_limits import TrashLimits
from modules.gallery.index.writing import IndexWriter
from modules.gallery.thumbnails import Thumbnails
from modules.parameters.infotext import said_parameters
from modules.pictures.metadata import read_metadata
from modules.pictures.opening import MOST_PIXELS, PictureError
from modules.settings import OptionStore, Paths
from modules.settings.groups import read_options

THUMBNAIL_SIDES: Final = (128, 256, 512)
_PRUNE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything a picture's file says. `fields` are the infotext's pairs in the file's order."""

    picture: IndexedPicture
    infotext: str
    prompt: str
    negative_prompt: str
    fields: dict[str, str]


class PictureIndex:
    """Opening it opens or makes its two files; `start` begins to read folders.

    Raises DatabaseError where the data folder can't be written.
    """

    def __init__(self, paths: Paths, options: OptionStore) -> None:
        self.roots = Roots.at_start(paths, options)
        self._options = options
        self._files = GalleryFiles(paths.gallery_index, paths.gallery_marks)
        self._writer = IndexWriter(self._files)
        trash = Trash(self.roots)
        self.search = Search(self._files)
        self.marks = Marks(self._files)
        self.prompts = PromptHistory(self._files, self.search, self.marks)
        self.similar = Similar(self._files, self.search)
        self.meaning = Meaning(self._files, self.search)
        self.search.nearest = self.meaning.nearest
        self.actions = Actions(self._files, self._writer, self.search, self.roots, trash, options)
        self._limits = TrashLimits(self._files, self.search, self.actions, options)
        self._thumbnails = {
            side: Thumbnails(paths.cache_dir / "gallery", side=side, most_pixels=MOST_PIXELS)
            for side in THUMBNAIL_SIDES
        }
        idle = (self._limits.enforce, self._prune_thumbnails, self.search.warm, self.similar.more)
        self._scanner = Scanner(self._files, self._writer, self.roots, trash, idle, self.search.warm)
        self._is_on = read_options(IndexOptions, options.as_dict()).is_on
        self._next_pruning = time.monotonic() + 60

    @property
    def notices(self) -> tuple[str, ...]:
        """Sentences about files that were set aside."""
        return tuple(self._files.notices)

    def start(self) -> None:
        """Begin to read the folders, unless the setting `gallery_index` is off."""
        if self._is_on:
            self._scanner.start()

    def open_eyes(self, eyes: Eyes) -> None:
        """Begin to look at pictures with these, for searches by meaning, unless there is no index."""
        if self._is_on:
            self.meaning.open(eyes)
            self.meaning.start()

    def close(self) -> None:
        self.similar.stop()
        self.meaning.stop()
        self._scanner.stop()
        self.similar.close()
        self._files.close()

    def saved(self, path: Path, owner: str | None = None) -> None:
        """A picture was saved, by this login. Returns at once: the picture does not wait for the index."""
        if self._is_on:
            self._scanner.saved(path, owner)

    def look(self) -> None:
        """Somebody looks at the gallery: see soon whether the folders changed."""
        if self._is_on:
            self._scanner.look()

    def indexing(self) -> Indexing:
        """How far the reading is. From memory."""
        return self._scanner.indexing()

    def wait_until_settled(self, timeout: float = 60.0) -> bool:
        """Wait until the index is what the folders are now; says whether that came in time."""
        return self._scanner.wait_until_settled(timeout)

    def id_of(self, row: int) -> str:
        """The id that clients get for a row."""
        return self._files.id_of(row)

    def find(self, picture_id: str, looker: Looker = EVERYBODY) -> IndexedPicture:
        """The picture of this id, if `looker` may see it. Raises UnknownPicture."""
        row = self._files.row_of(picture_id)
        picture = next(iter(self.search.pictures([row])), None) if row is not None else None
        if picture is None or (looker.own_only and picture.owner not in (None, looker.login)):
            raise UnknownPicture(picture_id)
        return picture

    def hides(self, path: Path, looker: Looker) -> bool:
        """Whether the file at this path is a picture that `looker` may not see; one that it does not know is none.

        Raises IndexFileError.
        """
        if not looker.own_only or self.roots.root_of(path) is None:
            return False
        owner = self.search.owner_of(path)
        return owner is not None and owner != looker.login

    def empty_trash(self, looker: Looker = EVERYBODY) -> tuple[Outcome, int]:
        """Delete what lies in the trash from disk; of very many, how many are deleted later, in idle time.

        Raises IndexFileError.
        """
        outcome, later = self._limits.empty(self.search.trashed(looker))
        if later:
            self.look()
        return outcome, later

    def find_all(self, ids: Sequence[str], looker: Looker = EVERYBODY) -> list[IndexedPicture]:
        """The pictures of these ids, each once. Raises UnknownPicture if one of them is not to be found."""
        found = self.find_some(ids, looker)
        for picture_id in ids:
            if picture_id not in found:
                raise UnknownPicture(picture_id)
        return list(found.values())

    def find_some(self, ids: Sequence[str], looker: Looker = EVERYBODY) -> dict[str, IndexedPicture]:
        """Those of these ids whose pictures are there for `looker`, in their order."""
        rows = {row: one for one in dict.fromkeys(ids) if (row := self._files.row_of(one)) is not None}
        return {
            rows[picture.row]: picture
            for picture in self.search.pictures(list(rows))
            if not looker.own_only or picture.owner in (None, looker.login)
        }

    def servable(self, picture: IndexedPicture) -> Path:
        """The picture's file, if it is still there and in a root however links run. Raises GalleryError."""
        if not self.roots.holds(picture.path):
            raise GalleryError(f"{picture.name} lies outside the gallery's folders.")
        if not picture.path.is_file():
            self.look()
            raise UnknownPicture(self.id_of(picture.row))
        return picture.path

    def detail(self, picture: IndexedPicture) -> Detail:
        """What the picture's file says now. Raises GalleryError."""
        path = self.servable(picture)
        try:
            infotext = read_metadata(path).infotext
        except PictureError as error:
            raise GalleryError(str(error)) from error
        prompt, negative, pairs = said_parameters(infotext)
        return Detail(picture, infotext, prompt, negative, {pair.key: pair.value for pair in pairs})

    def thumbnail(self, picture: IndexedPicture, side: int = 256) -> Path:
        """A small copy of the picture, made if there is none yet. Raises GalleryError, SaveError."""
        nearest = min(THUMBNAIL_SIDES, key=lambda one: (one < side, abs(one - side)))
        try:
            return self._thumbnails[nearest].of(self.servable(picture))
        except PictureError as error:
            raise GalleryError(str(error)) from error

    def complete(self, q: str, at: int) -> list[Completion]:
        """What may stand at place `at` of a search."""
        return complete(self._files, self.search, q, at)

    def _prune_thumbnails(self) -> bool:
        """Each hour, while nothing else is to do."""
        if time.monotonic() > self._next_pruning:
            self._next_pruning = time.monotonic() + _PRUNE_SECONDS
            self._thumbnails[256].prune(read_options(IndexOptions, self._options.as_dict()).thumbnails)
        return False
