"""The textual inversions of the installation, read when they are new and cached for as long as their files stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from modules.catalogue.embedding_files import (
    EMBEDDING_SUFFIXES,
    is_embedding_picture,
    that_prompts_can_name,
    without_previews,
)
from modules.catalogue.hashes import sha256_of
from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Emit
from modules.files import FileState, FoundFile, walk_folders
from modules.protocol import Notice
from modules.text.encoder import Embeddings
from modules.weights.embeddings import Embedding, read_embedding, read_embedding_picture
from modules.weights.model import Model

# Roles and widths of the text encoders that embeddings are for.
_For = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class _Read:
    """A file as it was read last; no embedding if it could not be, or is just a picture."""

    name: str
    path: Path
    state: FileState
    embedding: Embedding | None


class EmbeddingCache:
    """Looks at the folders before each job, as cheap as listing it while nothing changes."""

    def __init__(self, folders: Sequence[Path], emit: Emit) -> None:
        self._folders = tuple(folders)
        self._emit = emit
        self._files: dict[Path, _Read] = {}
        self._read: dict[str, _Read] = {}
        self._hashes: dict[tuple[Path, FileState], str] = {}
        self._reported: set[tuple[Path, FileState, tuple[int, ...]]] = set()
        self._fitting: tuple[_For, Embeddings] = (((), ()), {})

    def fitting(self, model: Model) -> Embeddings:
        """The vectors of every embedding for the text encoders of `model`, by name: the file's stem, or what a
        picture says.

        The same object is returned while no file changed. What does not fit or can't be read is reported once.
        """
        found = without_previews(walk_folders(self._folders, EMBEDDING_SUFFIXES))
        self._files = {file.path: self._of(file) for file in found}
        files = that_prompts_can_name(
            self._files.values(), lambda read: read.name, lambda read: read.embedding is not None
        )
        now = {read.name: read for read in files}
        unchanged = now.keys() == self._read.keys() and all(now[name] is self._read[name] for name in now)
        wanted = tuple(facts.role for facts in model.family.text_encoders), model.text_widths
        if unchanged and self._fitting[0] == wanted:
            return self._fitting[1]
        self._read = now
        fitting: dict[str, tuple[Tensor, ...]] = {}
        for name, read in now.items():
            if read.embedding is None:
                continue
            vectors = read.embedding.fitting(*wanted)
            if vectors is not None:
                fitting[name] = vectors
            else:
                self._report_width(name, read, read.embedding, model.text_widths)
        self._fitting = (wanted, fitting)
        return fitting

    def has(self, name: str) -> bool:
        """Whether there was a file of this name at the last look."""
        return name in self._read

    def hash_of(self, name: str) -> str:
        """The first 12 digits of the file's sha256, by which infotext knows it; empty if it is gone by now."""
        read = self._read.get(name)
        if read is None:
            return ""
        key = (read.path, read.state)
        if key not in self._hashes:
            try:
                self._hashes[key] = sha256_of(read.path)[:12]
            except OSError:
                return ""
        return self._hashes[key]

    def _of(self, file: FoundFile) -> _Read:
        known = self._files.get(file.path)
        if known is not None and known.state == file.state:
            return known
        name = file.path.stem
        read = read_embedding_picture if is_embedding_picture(file.name) else read_embedding
        try:
            embedding = read(file.path)
        except (ModelFileError, OSError) as error:
            self._emit(Notice(text=f"The embedding {name} is left out: {error}", level="warning"))
            embedding = None
        return _Read((embedding and embedding.name) or name, file.path, file.state, embedding)

    def _report_width(self, name: str, read: _Read, embedding: Embedding, widths: tuple[int, ...]) -> None:
        key = (read.path, read.state, widths)
        if key not in self._reported:
            self._reported.add(key)
            here = f"this one is {widths[0]}" if len(widths) == 1 else f"these are {' and '.join(map(str, widths))}"
            text = f"The embedding {name} is left out: it is for text encoders {embedding.widths} wide, and {here}."
            self._emit(Notice(text=text, level="warning"))
