"""The saved styles as page, API and queue use them."""

from __future__ import annotations

import glob
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from modules.parameters import RequestError
from modules.prompt.style_files import StyleBook, StyleFileError, read_style_file
from modules.prompt.styles import Style, apply_styles

_log = logging.getLogger(__name__)


class SavedStyles(StyleBook):
    """The style files of an installation; `save` and `delete` are the book's own."""

    __slots__ = ()

    @classmethod
    def of(cls, files: Sequence[str], folder: Path) -> Self:
        """The files that --styles-file names, seen from `folder`; they may hold wildcards."""
        return cls(tuple(folder / file for file in files))

    def all(self) -> list[Style]:
        """Every style, for a list to choose from; a file that can't be read is logged and left out."""
        return [style for _, styles in self.grouped() for style in styles]

    def grouped(self) -> list[tuple[Path, list[Style]]]:
        """The same under the files that they are from."""
        bad = self.problems()
        for problem in bad.values():
            _log.warning("%s", problem)
        sound = (path.with_name(glob.escape(path.name)) for path in self.files if path not in bad)
        return StyleBook(tuple(sound)).by_file()

    def problems(self) -> dict[Path, str]:
        """The files that can't be read, with a sentence for each."""
        found = {}
        for path in self.files:
            try:
                read_style_file(path)
            except (StyleFileError, OSError) as error:
                found[path] = str(error)
        return found

    def names(self) -> frozenset[str]:
        """The names of all styles. Raises RequestError when a file can't be read."""
        try:
            return frozenset(self.load())
        except (StyleFileError, OSError) as error:
            raise RequestError(f"The styles can't be merged: {error}") from error

    def merge(self, prompt: str, negative: str, names: tuple[str, ...]) -> tuple[str, str]:
        """Both prompts with these styles merged in; names that nobody saved are left out. Raises RequestError."""
        try:
            return apply_styles(prompt, negative, self.choose(names)) if names else (prompt, negative)
        except (StyleFileError, OSError) as error:
            raise RequestError(f"The styles can't be merged: {error}") from error
