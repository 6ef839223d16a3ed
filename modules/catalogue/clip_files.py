"""Which halves of a CLIP a file holds, and which files searches by meaning go by: by the names and shapes of tensors.

A whole CLIP, as transformers and OpenCLIP save it, has both halves; what IP-Adapters come with is often the half for
pictures alone. Two halves belong together where their vectors have one width.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.tensor_shapes import Shapes, read_tensor_shapes
from modules.files import FileState, FoundFile

_log = logging.getLogger(__name__)
# A tensor of the half, its projection, and which side of that is the vector's width: OpenCLIP's lie turned.
_Half = tuple[str, str, int]
_PICTURES: Final[tuple[_Half, ...]] = (
    ("vision_model.embeddings.patch_embedding.weight", "visual_projection.weight", 0),
    ("visual.conv1.weight", "visual.proj", 1),
)
_TEXTS: Final[tuple[_Half, ...]] = (
    ("text_model.embeddings.token_embedding.weight", "text_projection.weight", 0),
    ("token_embedding.weight", "text_projection", 1),
)


@dataclass(frozen=True, slots=True)
class ClipWidths:
    """How wide the vectors are that a file makes of pictures and of texts; None for a half that is not there."""

    pictures: int | None
    texts: int | None


@dataclass(frozen=True, slots=True)
class ClipPair:
    """The file that sees, and the one that reads, None where there is no such; with the state of each."""

    pictures: FoundFile
    texts: FoundFile | None

    @property
    def identity(self) -> str:
        """What tells this encoder of pictures from every other, and from itself before its file was replaced."""
        state = self.pictures.state
        return f"{self.pictures.path.name}:{state.size}:{state.mtime_ns}"


class ClipFiles:
    """Reads the head of each file once, for each of its states."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, FileState], ClipWidths] = {}

    def chosen(self, files: Sequence[FoundFile]) -> ClipPair | None:
        """Of these files the pair to search by: the smallest that goes with a reader of texts, else the smallest."""
        widths = [(file, self._widths(file)) for file in sorted(files, key=lambda one: (one.state.size, one.path.name))]
        pairs = [
            ClipPair(file, _reader(file, seen.pictures, widths)) for file, seen in widths if seen.pictures is not None
        ]
        return next((pair for pair in pairs if pair.texts is not None), next(iter(pairs), None))

    def _widths(self, file: FoundFile) -> ClipWidths:
        key = (file.path, file.state)
        if key not in self._known:
            self._known[key] = _read(file.path)
        return self._known[key]


def _reader(seen_by: FoundFile, width: int | None, widths: Sequence[tuple[FoundFile, ClipWidths]]) -> FoundFile | None:
    """What reads texts into vectors of this width: the same file where it can."""
    able = [file for file, one in widths if one.texts == width]
    return next((file for file in able if file.path == seen_by.path), next(iter(able), None))


def _read(path: Path) -> ClipWidths:
    try:
        shapes, _ = read_tensor_shapes(path)
    except (ModelFileError, OSError) as error:
        _log.warning("Pictures can't be found by meaning with this file. %s", error)
        return ClipWidths(None, None)
    return ClipWidths(_width(shapes, _PICTURES), _width(shapes, _TEXTS))


def _width(shapes: Shapes, halves: Sequence[_Half]) -> int | None:
    for tensor, projection, side in halves:
        shape = shapes.get(projection, ())
        if tensor in shapes and len(shape) == 2 and shape[side]:
            return shape[side]
    return None
