"""What the index refuses, each as one sentence for the person at the page."""

from __future__ import annotations

from pathlib import Path

from modules.files.database import FileTrouble, trouble_sentence


class GalleryError(RuntimeError):
    """Something that the gallery cannot do. The message is one sentence."""


class UnknownPicture(GalleryError):
    """No picture of the index has this id."""

    def __init__(self, picture_id: str) -> None:
        super().__init__(f"There is no picture {picture_id[:40]!r}: it was deleted, or the index was made again.")


class UnknownEntry(GalleryError):
    """There is no board, saved search, folder or prompt of this id."""


class MeaningError(GalleryError):
    """Why nothing can be found by meaning."""


class IndexFileError(GalleryError):
    """The file of the index, or of the marks, can't be read or written now. `trouble` says why."""

    def __init__(self, what: str, path: Path, trouble: FileTrouble, reason: object) -> None:
        self.trouble: FileTrouble = trouble
        super().__init__(trouble_sentence(f"{what} {path}", trouble, reason))
