"""The finished pictures of a job, for what is made of several of them: encoded, and decoded one at a time."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Final, Self, overload

from PIL import Image

from modules.pictures.opening import BROKEN, read_header

# What a job's pictures take of main memory; what is more lies in a temporary file.
MEMORY_BYTES: Final = 64_000_000


class FinishedPictures:
    """Stores pictures by their index in the job. Thread-safe.

    The job's own are stored without loss; `saved` names the files of those that an earlier run delivered. What `open`
    returns is decoded when its pixels are first used, so going through all of them holds one at a time.
    """

    def __init__(self, saved: Mapping[int, str] | None = None) -> None:
        self._saved = {index: Path(file) for index, file in (saved or {}).items()}
        self._lock = threading.Lock()
        with ExitStack() as resources:
            self._file = resources.enter_context(SpooledTemporaryFile(max_size=MEMORY_BYTES))
            self._resources = resources.pop_all()
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0
        self.trouble: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    @property
    def size(self) -> int:
        """Bytes of what is stored."""
        return self._end

    def add(self, index: int, picture: Image.Image, png: bytes | None = None) -> None:
        """Store picture `index`; `png` is it as a file, where there is one already.

        Where the disk has no room for it, it will be missing and `trouble` says why.
        """
        data = png if png is not None else _encoded(picture)
        with self._lock:
            try:
                self._file.seek(self._end)
                self._file.write(data)
            except OSError as error:
                self.trouble = f"Nothing was made of all the pictures together: {error.strerror or error}."
                return
            self._places[index] = self._end, len(data)
            self._end += len(data)

    def open(self, index: int) -> Image.Image | None:
        """Picture `index`, or None if it is not there (any more)."""
        with self._lock:
            place = self._places.get(index)
            if place is not None:
                self._file.seek(place[0])
                return read_header(self._file.read(place[1]))
        saved = self._saved.get(index)
        if saved is None:
            return None
        try:
            return read_header(saved.read_bytes())
        except BROKEN:
            return None

    def first(self, count: int) -> Sequence[Image.Image] | None:
        """The first `count` pictures of the job; None if one of them is missing."""
        if all(index in self._places or self._saved_is_there(index) for index in range(count)):
            return _Opened(self, range(count))
        return None

    def _saved_is_there(self, index: int) -> bool:
        return index in self._saved and self._saved[index].is_file()


class _Opened(Sequence[Image.Image]):
    """Pictures that are opened each time they are looked up, so that none stays decoded."""

    def __init__(self, pictures: FinishedPictures, indexes: Sequence[int]) -> None:
        self._pictures = pictures
        self._indexes = indexes

    def __len__(self) -> int:
        return len(self._indexes)

    @overload
    def __getitem__(self, place: int) -> Image.Image: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Image.Image]: ...

    def __getitem__(self, place: int | slice) -> Image.Image | Sequence[Image.Image]:
        if isinstance(place, slice):
            return _Opened(self._pictures, self._indexes[place])
        picture = self._pictures.open(self._indexes[place])
        if picture is None:
            raise FileNotFoundError(f"Picture {self._indexes[place]} of this job is gone.")
        return picture


def _encoded(picture: Image.Image) -> bytes:
    """As a PNG, packed quickly rather than small."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
