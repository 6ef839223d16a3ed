"""The folders whose pictures the index holds, and whether a file lies in one of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from modules.files import is_text
from modules.gallery.allowed_folders import picture_folders
from modules.gallery.index.options import IndexOptions
from modules.settings import OptionStore, Paths
from modules.settings.groups import read_options

TRASH: Final = ".gallery-trash"

_log = logging.getLogger(__name__)


class Roots:
    """Folders with all that is below them, resolved; none of them lies in another."""

    def __init__(self, folders: Iterable[Path], main: Path | None = None) -> None:
        resolved = sorted({folder.resolve() for folder in folders}, key=lambda folder: len(folder.parts))
        found: list[Path] = []
        for folder in resolved:
            if not is_text(str(folder)):
                _log.warning("Pictures in %r are left out: the folder's name is no text. Rename it.", folder)
            elif not any(folder.is_relative_to(other) for other in found):
                found.append(folder)
        self.folders: Sequence[Path] = found
        self._main = None if main is None else main.resolve()

    @classmethod
    def at_start(cls, paths: Paths, options: OptionStore) -> Roots:
        """Where this program saves pictures, and the folders of the setting `gallery_folders`, as they are now.

        A folder that holds the data folder itself is left out: with it, settings and models would be served.
        """
        data = paths.data_dir.resolve()
        folders = read_options(IndexOptions, options.as_dict()).folders
        named = [(paths.data_dir / Path(text).expanduser()).resolve() for text in folders if text]
        more = []
        for folder in named:
            if data.is_relative_to(folder):
                _log.warning("Pictures in %s are left out: it holds this program's settings and models.", folder)
            else:
                more.append(folder)
        return cls([*picture_folders(paths, options), *more], paths.outputs_dir)

    def root_of(self, path: Path) -> Path | None:
        """The root above `path`, as it is written."""
        return next((root for root in self.folders if path.is_relative_to(root)), None)

    def holds(self, path: Path) -> bool:
        """Whether the file lies below a root once links are resolved."""
        try:
            return self.root_of(path.resolve()) is not None
        except (OSError, RuntimeError):
            return False

    def shown(self, folder: Path) -> str:
        """A folder's name for people: its path below the main root, or below another one with that one's name."""
        root = self.root_of(folder)
        if root is None:
            return folder.name
        below = folder.relative_to(root).as_posix()
        if root == self._main:
            return root.name if below == "." else below
        return root.name if below == "." else f"{root.name}/{below}"


def trash_folder(file: Path, root: Path) -> Path:
    """The trash of a file below `root`: on the same file system, so that going there and back is one rename.

    Raises OSError where the file's folder is gone.
    """
    device = file.parent.stat().st_dev
    place = file.parent
    while place != root and place.parent.stat().st_dev == device:
        place = place.parent
    return place / TRASH
