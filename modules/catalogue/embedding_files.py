"""Which files of the embeddings folder may be textual inversions: pictures may be, and may be previews of others."""

from collections.abc import Iterable
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


def _bare(name: str) -> str:
    return name.lower().rpartition(".")[0]
