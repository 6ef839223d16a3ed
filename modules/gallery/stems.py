"""Names made of pieces, so that what is too long is shortened where it costs least."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from modules.gallery.sanitizing import LONGEST_NAME, replace_invalid


class Cut(IntEnum):
    """When a piece of a name may be shortened: prose before the pattern's own text, what files differ by never."""

    PROSE = 0
    PATTERN = 1
    NAME = 2
    NEVER = 3


_SHORTENED: Final = (Cut.PROSE, Cut.PATTERN, Cut.NAME)


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a name."""

    text: str
    cut: Cut = Cut.NEVER


@dataclass(frozen=True, slots=True)
class Stem:
    """A file's or folder's name without its tail, still at full length."""

    pieces: tuple[Piece, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fitted())

    def __str__(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def fitted(self, room: int = LONGEST_NAME) -> str:
        """The name in at most `room` bytes of UTF-8: nothing that a file system refuses, no blanks or dots at its end.

        A dot that a token brings to the front becomes `_`, or the file would be hidden.
        """
        texts = [replace_invalid(piece.text) for piece in self.pieces]
        for cut in _SHORTENED:
            _shorten(texts, [index for index, piece in enumerate(self.pieces) if piece.cut is cut], max(0, room))
        first = next((index for index, text in enumerate(texts) if text), None)
        if first is not None and texts[first].startswith(".") and self.pieces[first].cut is not Cut.PATTERN:
            texts[first] = f"_{texts[first][1:]}"
        return cut_to("".join(texts).lstrip(" "), room).rstrip(" .")


def stem_of(text: str, cut: Cut = Cut.NAME) -> Stem:
    """A stem of one piece."""
    return Stem((Piece(text, cut),))


def split_at_separators(pieces: Iterable[Piece]) -> list[Stem]:
    """The parts of a path: `/` and `\\` separate where they stand in the pattern itself."""
    parts: list[list[Piece]] = [[]]
    for piece in pieces:
        if piece.cut is not Cut.PATTERN:
            parts[-1].append(piece)
            continue
        first, *others = piece.text.replace("\\", "/").split("/")
        parts[-1].append(Piece(first, Cut.PATTERN))
        parts += ([Piece(other, Cut.PATTERN)] for other in others)
    return [Stem(tuple(part)) for part in parts]


def cut_to(text: str, room: int) -> str:
    """The beginning of `text` that has at most `room` bytes in UTF-8, cut between two characters."""
    return text.encode("utf-8", "replace")[: max(0, room)].decode("utf-8", "ignore")


def _shorten(texts: list[str], indexes: Sequence[int], room: int) -> None:
    """Cut the texts at `indexes`, the longest first, until all of `texts` have `room` bytes, or these are empty."""
    sizes = [len(text.encode("utf-8", "replace")) for text in texts]
    left = room - sum(sizes) + sum(sizes[index] for index in indexes)
    if left >= sum(sizes[index] for index in indexes):
        return
    # Shortest first: what they do not need is the longer ones'.
    for place, index in enumerate(sorted(indexes, key=lambda index: sizes[index])):
        share = max(0, left) // (len(indexes) - place)
        texts[index] = cut_to(texts[index], share)
        left -= min(sizes[index], share)
