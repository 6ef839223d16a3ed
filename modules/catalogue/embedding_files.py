"""Textual inversions: which files of their folder may be some (pictures too), and which models they are for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from modules.files import FoundFile

EMBEDDING_PICTURES: Final = (".png", ".webp", ".jxl", ".avif")
EMBEDDING_SUFFIXES: Final = (".safetensors", ".pt", ".bin", *EMBEDDING_PICTURES)
_PREVIEWS: Final = tuple(f".preview{suffix}" for suffix in EMBEDDING_PICTURES)


def is_embedding_picture(name: str) -> bool:
    """Whether a file of this name is a picture that may have a textual inversion in it."""
    return name.lower().endswith(EMBEDDING_PICTURES)


def without_previews(files: Iterable[FoundFile]) -> list[FoundFile]:
    """Leave out the pictures that are previews: `*.preview.*`, and those named as a textual inversion beside them."""
    files = list(files)
    others = {_bare(file.name) for file in files if not is_embedding_picture(file.name)}
    return [
        file
        for file in files
        if not is_embedding_picture(file.name)
        or not (file.name.lower().endswith(_PREVIEWS) or _bare(file.name) in others)
    ]


def vectors_for(widths: Mapping[str, int], roles: Sequence[str], text_widths: Sequence[int]) -> tuple[str, ...] | None:
    """Which vectors of a textual inversion are for text encoders of these roles and widths, in the encoders' order.

    `widths` are those of its vectors by their names: the encoder's role, or any if there is but one. One for two
    encoders is not for a family with one of them, as in A1111: there its name is text.

    Returns:
        Names of `widths`; None if it is for other encoders.
    """
    found = [name for name in (roles if len(roles) > 1 else widths) if name in widths]
    return tuple(found) if [widths[name] for name in found] == list(text_widths) else None


def _bare(name: str) -> str:
    return name.lower().rpartition(".")[0]
