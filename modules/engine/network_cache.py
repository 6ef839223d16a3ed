"""The network files that prompts name, read once and cached for as long as they are in use, and a little longer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from modules.catalogue.hashes import network_hash_of
from modules.catalogue.model_errors import ModelFileError
from modules.files import FileState, found_file
from modules.hardware.available_memory import main_memory
from modules.hardware.budget import gigabytes
from modules.hardware.out_of_memory import is_out_of_memory
from modules.protocol import NetworkFile

N = TypeVar("N")
# Begins to work out a file's hash on another thread.
StartHashing = Callable[[Callable[[Path], str], Path], Future[str]]


@dataclass(frozen=True, slots=True, eq=False)
class CachedNetwork(Generic[N]):
    """A network as its file was when it was read.

    `sha256` is that of its tensors, worked out while it is used; empty if the file went away before that.
    """

    path: Path
    state: FileState
    network: N
    sha256: Future[str]

    @property
    def key(self) -> tuple[Path, FileState]:
        return self.path, self.state


class NetworkCache(Generic[N]):
    """Owns what was read of files of one kind. A file that has changed since is read anew; one that is gone is used as
    it was, so that no job loses it halfway."""

    def __init__(
        self,
        read: Callable[[Path], N],
        start_hashing: StartHashing,
        make_room: Callable[[int], bool] = lambda needed: True,
    ) -> None:
        """`make_room` is called with the bytes of main memory that a file will take, and frees what it can."""
        self._read = read
        self._start_hashing = start_hashing
        self._make_room = make_room
        self._networks: OrderedDict[Path, CachedNetwork[N]] = OrderedDict()

    def get(self, file: NetworkFile) -> CachedNetwork[N]:
        """The network of a file. Raises ModelFileError with one sentence."""
        path = Path(file.path)
        found = found_file(path)
        known = self._networks.get(path)
        if found is None and known is None:
            raise ModelFileError(f"{path.name} is no longer there.")
        if found is not None and (known is None or known.state != found.state):
            # Before the new one is there, so that both never lie in memory.
            self._networks.pop(path, None)
            content = self._content(path, found.state.size)
            known = CachedNetwork(path, found.state, content, self._hash(path, file.sha256))
            self._networks[path] = known
        assert known is not None
        self._networks.move_to_end(path)
        return known

    def drop_unused(self, used: Iterable[CachedNetwork[N]], limit: int) -> None:
        """Drop what is not `used`, but for the `limit` that were used last."""
        needed = {one.path for one in used}
        unused = [path for path in self._networks if path not in needed]
        for path in unused[: max(0, len(unused) - limit)]:
            del self._networks[path]

    def _content(self, path: Path, size: int) -> N:
        """Raises ModelFileError, also where there is no main memory for it: better without it than no picture."""
        too_large = f"there is not enough main memory for the {gigabytes(size)} of {path.name}."
        # Systems that promise more memory than they have end the process later instead of refusing now.
        if not self._make_room(size) and main_memory().available < size:
            raise ModelFileError(too_large)
        try:
            return self._read(path)
        except OSError as error:
            raise ModelFileError(f"{path.name} could not be read: {error.strerror or error}.") from error
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise ModelFileError(too_large) from error
            raise

    def _hash(self, path: Path, known: str | None) -> Future[str]:
        if known is None:
            return self._start_hashing(_hash_if_there, path)
        future: Future[str] = Future()
        future.set_result(known)
        return future


def _hash_if_there(path: Path) -> str:
    try:
        return network_hash_of(path)
    except OSError:
        return ""
