"""The textual inversions of the installation, read when they are new and cached for as long as their files stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from modules.catalogue.hashes import sha256_of
from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Emit
from modules.files import FileState, FoundFile, walk_folders
from modules.protocol import Notice
from modules.weights.embeddings import EMBEDDING_SUFFIXES, read_embedding


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was read last; no vectors if it could not be."""

    path: Path
    state: FileState
    vectors: Tensor | None


class EmbeddingCache:
    """Looks at the folder before each job, as cheap as listing it while nothing changes."""

    def __init__(self, folder: Path, emit: Emit) -> None:
        self._folder = folder
        self._emit = emit
        self._read: dict[str, _Read] = {}
        self._hashes: dict[tuple[Path, FileState], str] = {}
        self._reported: set[tuple[Path, FileState, int]] = set()
        self._fitting: tuple[int, dict[str, Tensor]] = (0, {})

    def fitting(self, width: int) -> Mapping[str, Tensor]:
        """The vectors, (count, width), of every embedding for text encoders of this width, by name: the file's stem.

        The same object is returned while no file changed. What does not fit or can't be read is reported once.
        """
        found = {Path(file.name).stem: file for file in walk_folders((self._folder,), EMBEDDING_SUFFIXES)}
        now = {name: self._of(name, file) for name, file in found.items()}
        unchanged = now.keys() == self._read.keys() and all(now[name] is self._read[name] for name in now)
        if unchanged and self._fitting[0] == width:
            return self._fitting[1]
        self._read = now
        fitting = {}
        for name, read in now.items():
            if read.vectors is None:
                continue
            if read.vectors.shape[1] == width:
                fitting[name] = read.vectors
            else:
                self._report_width(name, read, read.vectors.shape[1], width)
        self._fitting = (width, fitting)
        return fitting

    def hash_of(self, name: str) -> str:
        """The first 12 digits of the file's sha256, by which infotext knows it."""
        read = self._read[name]
        key = (read.path, read.state)
        if key not in self._hashes:
            self._hashes[key] = sha256_of(read.path)[:12]
        return self._hashes[key]

    def _of(self, name: str, file: FoundFile) -> _Read:
        known = self._read.get(name)
        if known is not None and (known.path, known.state) == (file.path, file.state):
            return known
        try:
            return _Read(file.path, file.state, read_embedding(file.path))
        except (ModelFileError, OSError) as error:
            self._emit(Notice(text=f"The embedding {name} is left out: {error}", level="warning"))
            return _Read(file.path, file.state, None)

    def _report_width(self, name: str, read: _Read, own: int, width: int) -> None:
        key = (read.path, read.state, width)
        if key not in self._reported:
            self._reported.add(key)
            text = f"The embedding {name} is left out: it is for text encoders {own} wide, and this one is {width}."
            self._emit(Notice(text=text, level="warning"))
