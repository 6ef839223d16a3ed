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
    """Owns what was read of files of one kind. A file that has changed since is read anew."""

    def __init__(self, read: Callable[[Path], N], start_hashing: StartHashing) -> None:
        self._read = read
        self._start_hashing = start_hashing
        self._networks: OrderedDict[Path, CachedNetwork[N]] = OrderedDict()

    def get(self, file: NetworkFile) -> CachedNetwork[N]:
        """The network of a file. Raises ModelFileError with one sentence."""
        path = Path(file.path)
        found = found_file(path)
        known = self._networks.get(path)
        if found is None:
            raise ModelFileError(f"{path.name} is no longer there.")
        if known is None or known.state != found.state:
            # Before the new one is there, so that both never lie in memory.
            self._networks.pop(path, None)
            known = CachedNetwork(path, found.state, self._content(path), self._hash(path, file.sha256))
            self._networks[path] = known
        self._networks.move_to_end(path)
        return known

    def drop_unused(self, used: Iterable[CachedNetwork[N]], limit: int) -> None:
        """Drop what is not `used`, but for the `limit` that were used last."""
        needed = {one.path for one in used}
        unused = [path for path in self._networks if path not in needed]
        for path in unused[: max(0, len(unused) - limit)]:
            del self._networks[path]

    def _content(self, path: Path) -> N:
        try:
            return self._read(path)
        except OSError as error:
            raise ModelFileError(f"{path.name} could not be read: {error.strerror or error}.") from error

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
