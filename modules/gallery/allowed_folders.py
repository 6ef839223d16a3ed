"""The folders of this machine that a person on the page may name: pictures are read and written nowhere else."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from modules.files import write_text_atomic
from modules.gallery.gallery import Gallery
from modules.gallery.saved_copies import SavedCopies
from modules.settings import OptionStore, Paths

# A1111's input types of batches.
PICTURE_SUFFIXES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})
INPUTS: Final = "inputs"
# In the data folder: the folders that the person at this machine has allowed, a JSON list.
ALLOWED_FILE: Final = "allowed-folders.json"

_log: Final = logging.getLogger(__name__)


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


class FolderNotAllowedYet(FolderError):
    """A folder that the person at this machine may allow: `folder`, and all below it."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


class AllowedFolders:
    """What the page may show, `inputs` in the data folder, and the folders of --gradio-allowed-path.

    Settings count as they were at the start, as with what is served: else whoever may change a setting could read any
    picture of the machine. Where nobody but the person at this machine can come in (`extensible`), that person may
    allow more, which are remembered for the next start. Safe to use from several threads.
    """

    def __init__(self, data_dir: Path, roots: Sequence[Path], *, extensible: bool = False) -> None:
        self._data = data_dir
        self._extensible = extensible
        self._lock = threading.Lock()
        allowed = self._remembered() if extensible else []
        # One list for the life of the server: Gradio holds it, and serves what is in it.
        self.served = list(dict.fromkeys(str(root.resolve()) for root in [*roots, *allowed]))

    @property
    def roots(self) -> tuple[Path, ...]:
        """The allowed folders, resolved; each with all below it."""
        return tuple(map(Path, self.served))

    @classmethod
    def at_start(
        cls, paths: Paths, options: OptionStore, given: Sequence[str] = (), *, extensible: bool = False
    ) -> AllowedFolders:
        """The folders that `paths`, the settings of this moment and --gradio-allowed-path allow."""
        named = [paths.data_dir / folder for folder in given]
        roots = [*picture_folders(paths, options), paths.data_dir / INPUTS, *named]
        return cls(paths.data_dir, roots, extensible=extensible)

    def allow(self, text: str) -> None:
        """Allow a folder and all below it, now and after the next start.

        Raises FolderError where that is not for the person on the page to say, and SaveError when it can't be
        remembered.
        """
        folder = self._resolved(text, "The folder")
        self._refuse_own(folder, "The folder")
        if not self._extensible:
            raise FolderError(f"The folder {folder} can't be allowed from here. {self._which()}")
        with self._lock:
            if self.holds(folder):
                return
            self.served.append(str(folder))
            remembered = dict.fromkeys([*map(str, self._remembered()), str(folder)])
            write_text_atomic(self._data / ALLOWED_FILE, json.dumps(list(remembered), indent=2, ensure_ascii=False))

    def existing(self, text: str, what: str) -> Path:
        """The folder that a person named, relative to the data folder where it is not absolute.

        Raises FolderError naming `what` (`Input directory`) when there is none, or when it is not allowed.
        """
        folder = self._resolved(text, what)
        # What is there is said of folders only that may be read.
        if (self._extensible or self.holds(folder)) and not folder.is_dir():
            raise FolderError(f"{what} {folder} is no folder: check how it is written.")
        return self.target(text, what)

    def target(self, text: str, what: str) -> Path:
        """The same for a folder to write to, which need not be there yet; it is not made here. Raises FolderError."""
        folder = self._resolved(text, what)
        if self.holds(folder):
            return folder
        sentence = f"{what} {folder} is not among the folders that the page may use."
        if not self._extensible:
            raise FolderError(f"{sentence} {self._which()}")
        self._refuse_own(folder, what)
        raise FolderNotAllowedYet(sentence, folder)

    def _refuse_own(self, folder: Path, what: str) -> None:
        if self._data.resolve().is_relative_to(folder):
            raise FolderError(
                f"{what} {folder} holds this program's settings and models: name one inside or beside it."
            )

    def _remembered(self) -> list[Path]:
        """The folders that were allowed before; none where the file is missing or is no list of them."""
        file = self._data / ALLOWED_FILE
        try:
            folders = json.loads(file.read_text("utf-8"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("%s can't be read, so the folders in it are asked for again: %s", file, error)
            return []
        texts = [text for text in folders if isinstance(text, str)] if isinstance(folders, list) else []
        return [Path(text) for text in texts if Path(text).is_absolute()]

    def _resolved(self, text: str, what: str) -> Path:
        wanted = text.strip().strip('"')
        if not wanted:
            raise FolderError(f"{what} is empty: name a folder.")
        try:
            return (self._data / Path(wanted).expanduser()).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FolderError(f"{what} {wanted[:80]!r} can't be read as a folder's name.") from error

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
