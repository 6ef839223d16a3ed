"""The folders of this machine that a person on the page may name: pictures are read and written nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from modules.gallery.gallery import Gallery
from modules.gallery.saved_copies import SavedCopies
from modules.settings import OptionStore, Paths

# A1111's input types of batches.
PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
INPUTS: Final = "inputs"


class FolderError(ValueError):
    """A folder that can't be used. The message is one sentence for the person who named it."""


def picture_folders(paths: Paths, options: OptionStore) -> list[Path]:
    """The folders that pictures go to, wherever the settings put them, resolved.

    A folder that holds the data folder itself is left out: with it, settings and models would be served.
    """
    gallery, data = Gallery(paths, options), paths.data_dir
    wanted = [paths.outputs_dir, SavedCopies(paths, options).folder, gallery.folder("extras")]
    wanted += [gallery.folder(mode, grid=grid) for mode in ("txt2img", "img2img") for grid in (False, True)]
    resolved = dict.fromkeys(folder.resolve() for folder in wanted)
    return [folder for folder in resolved if not data.resolve().is_relative_to(folder)]


class AllowedFolders:
    """What the page may show, `inputs` in the data folder, and the folders of --gradio-allowed-path.

    Settings count as they were at the start, as with what is served: else whoever may change a setting could read any
    picture of the machine.
    """

    def __init__(self, data_dir: Path, roots: Sequence[Path]) -> None:
        self._data = data_dir
        self.roots = tuple(dict.fromkeys(root.resolve() for root in roots))

    @classmethod
    def at_start(cls, paths: Paths, options: OptionStore, given: Sequence[str] = ()) -> AllowedFolders:
        """The folders that `paths`, the settings of this moment and --gradio-allowed-path allow."""
        named = [paths.data_dir / folder for folder in given]
        return cls(paths.data_dir, [*picture_folders(paths, options), paths.data_dir / INPUTS, *named])

    def existing(self, text: str, what: str) -> Path:
        """The folder that a person named, relative to the data folder where it is not absolute.

        Raises FolderError naming `what` (`Input directory`) when there is none, or when it is not allowed.
        """
        folder = self.target(text, what)
        if not folder.is_dir():
            raise FolderError(f"{what} {folder} is no folder: check how it is written.")
        return folder

    def target(self, text: str, what: str) -> Path:
        """The same for a folder to write to, which need not be there yet; it is not made here. Raises FolderError."""
        wanted = text.strip().strip('"')
        if not wanted:
            raise FolderError(f"{what} is empty: name a folder.")
        try:
            folder = (self._data / Path(wanted).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FolderError(f"{what} {wanted[:80]!r} can't be read as a folder's name.") from error
        if not self.holds(folder):
            raise FolderError(f"{what} {folder} is not among the folders that the page may use. {self._which()}")
        return folder

    def holds(self, path: Path) -> bool:
        """Whether `path` lies in an allowed folder once links and dots are resolved."""
        resolved = path.resolve()
        return any(resolved.is_relative_to(root) for root in self.roots)

    def pictures(self, folder: Path) -> list[Path]:
        """The picture files directly in `folder`, by name; links that lead out of what is allowed are left out.

        Raises FolderError when the folder can't be read.
        """
        try:
            found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
        except OSError as error:
            raise FolderError(f"{folder} can't be read: {error.strerror or error}.") from error
        return sorted(path for path in found if not path.name.startswith(".") and self.holds(path))

    def _which(self) -> str:
        shown = ", ".join(str(root) for root in self.roots)
        return f"It may use {shown}; start with --gradio-allowed-path FOLDER to add one."
