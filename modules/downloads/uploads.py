"""Model files that are dropped on the page: looked at first, copied in pieces, resumed by the next drop."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.network_base import base_of
from modules.catalogue.safetensors_header import parse_safetensors_header
from modules.downloads.arrival import ModelPlaces, kind_of_beginning, look_at_beginning, look_at_whole
from modules.downloads.downloads import checked_name
from modules.downloads.errors import DownloadError
from modules.downloads.transfer import SPARE
from modules.families import family_of
from modules.files import move_unless_taken, save_error

_ENDING: Final = ".upload.part"
# So long the beginning of a file that nobody dropped again is kept, in seconds.
_LONGEST_WAIT: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file by what the browser says of it; `mark` is when it was changed, which tells it from another of its name."""

    name: str
    size: int
    mark: str


@dataclass(frozen=True, slots=True)
class Looked:
    """What the beginning of a file says: its kind and family ("" where only the whole file will say it), the folder
    that it would go to, and how many bytes of it are here from a drop before."""

    kind: str
    family: str
    folder: Path
    received: int


@dataclass(frozen=True, slots=True)
class ReceivedPiece:
    """What came of a piece: the bytes that are here now, and the file once it is whole."""

    received: int
    path: Path | None = None
    kind: str = ""


class Uploads:
    """Takes files in pieces. Safe to use from several threads."""

    def __init__(self, places: ModelPlaces, arrived: Callable[[Path, str], None]) -> None:
        self._places, self._arrived = places, arrived
        self._lock = threading.Lock()
        self._busy: dict[Path, threading.Lock] = {}

    def look(self, dropped: Dropped, beginning: bytes) -> Looked:
        """What a file is, before it is copied. `beginning` is a safetensors file's header, anything of the others.

        Raises:
            DownloadError: it can't be of use here, is there already, or the disk has no room for it.
        """
        name = checked_name(dropped.name)
        kind, family = kind_of_beginning(beginning, name, "") or "", ""
        if kind:
            length = int.from_bytes(beginning[:8], "little")
            shapes = parse_safetensors_header(beginning[8 : 8 + length], Path(name)).shapes
            found = family_of(shapes) if kind == "checkpoint" else None
            family = found.label if found is not None else base_of(shapes) if kind == "lora" else ""
        folder = self._places.folder(kind)
        if (folder / name).exists():
            raise DownloadError(f"{name} was not copied: a file of that name is in {folder} already.")
        partial = self._partial(dropped)
        received = partial.stat().st_size if partial.is_file() else 0
        self._check_space(partial, dropped.size - received)
        return Looked(kind, family, folder, received)

    def write(self, dropped: Dropped, offset: int, data: bytes) -> ReceivedPiece:
        """Put a piece where it belongs; one that leaves a gap, or is here already, only answers what is here.

        Raises:
            DownloadError: the file turns out to be of no use, is damaged, or can't be written.
        """
        name, partial = checked_name(dropped.name), self._partial(dropped)
        with self._lock:
            busy = self._busy.setdefault(partial, threading.Lock())
        with busy:
            try:
                return self._written(dropped, name, partial, offset, data)
            except OSError as error:
                raise DownloadError(str(save_error(self._places.folder("") / name, error))) from error
            except DownloadError:
                partial.unlink(missing_ok=True)
                raise

    def clean(self) -> None:
        """Delete what was begun and not gone on with for a week."""
        limit = time.time() - _LONGEST_WAIT
        with contextlib.suppress(OSError):
            for path in self._places.folder("").glob(f"*{_ENDING}"):
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime < limit:
                        path.unlink()

    def _written(self, dropped: Dropped, name: str, partial: Path, offset: int, data: bytes) -> ReceivedPiece:
        partial.parent.mkdir(parents=True, exist_ok=True)
        here = partial.stat().st_size if partial.is_file() else 0
        if offset != here or here + len(data) > dropped.size:
            return ReceivedPiece(here)
        with partial.open("ab") as file:
            file.write(data)
        here += len(data)
        if offset == 0:
            look_at_beginning(partial, name, "")
        if here < dropped.size:
            return ReceivedPiece(here)
        kind = look_at_whole(partial, name, "")
        target = self._places.folder(kind) / name
        try:
            move_unless_taken(partial, target)
        except FileExistsError:
            raise DownloadError(f"{name} was not copied: a file of that name is in {target.parent} already.") from None
        self._arrived(target, kind)
        return ReceivedPiece(here, target, kind)

    def _partial(self, dropped: Dropped) -> Path:
        """The same for each drop of the same file."""
        name = checked_name(dropped.name)
        key = hashlib.sha256(f"{name}\0{dropped.size}\0{dropped.mark}".encode()).hexdigest()[:16]
        return self._places.folder("") / f"{name}.{key}{_ENDING}"

    def _check_space(self, partial: Path, wanted: int) -> None:
        folder = next((one for one in partial.parents if one.is_dir()), Path("/"))
        free = shutil.disk_usage(folder).free
        if wanted + SPARE > free:
            raise DownloadError(
                f"{partial.name.removesuffix(_ENDING)} needs {(wanted + SPARE) / 1e9:.1f} GB, and the disk of {folder} "
                f"has {free / 1e9:.1f} GB free: free some space."
            )
