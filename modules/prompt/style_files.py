"""Style files: `styles.csv` as AUTOMATIC1111 reads and writes it, several of them as one list."""

import csv
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.files import SaveError, decoded, write_atomic
from modules.prompt.styles import Style

HEADER = ("name", "prompt", "negative_prompt")
LONGEST_FIELD = 131_072
"""Of one field of a file, in characters: what the csv module accepts."""

_WRITING = threading.Lock()
_TRIES = 5


class StyleFileError(ValueError):
    """A style file that cannot be read or must not be written."""


@dataclass(frozen=True, slots=True)
class StyleBook:
    """The styles of some files; a file name may hold wildcards (`styles-*.csv`), and need not exist yet.

    Every call reads the files anew: they are small, and people edit them by hand while the program runs.
    """

    patterns: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that exist, in order, each once."""
        found = (path for pattern in self.patterns for path in sorted(pattern.parent.glob(pattern.name)))
        return tuple(dict.fromkeys(path for path in found if path.is_file()))

    def load(self) -> dict[str, Style]:
        """All styles by name; of two with one name the later one counts. Raises StyleFileError."""
        styles = (style for path in self.files for style in read_style_file(path))
        return {style.name: style for style in styles if not style.name.startswith("#")}

    def by_file(self) -> list[tuple[Path, list[Style]]]:
        """The styles under the file that counts for each, files without any left out. Raises StyleFileError."""
        styles = self.load().values()
        groups = [(path, [style for style in styles if style.path == path]) for path in self.files]
        return [(path, own) for path, own in groups if own]

    def choose(self, names: Sequence[str]) -> list[Style]:
        """The styles of these names, in this order; names that are unknown are left out."""
        styles = self.load()
        return [styles[name] for name in names if name in styles]

    def save(self, style: Style) -> None:
        """Add a style, or replace the one of that name where it stands. Raises StyleFileError."""
        if not style.name or style.name.startswith("#"):
            raise StyleFileError(f"A style cannot be named {style.name!r}: give it a name that does not begin with #.")
        if max(len(style.name), len(style.prompt), len(style.negative_prompt)) > LONGEST_FIELD:
            raise StyleFileError(
                f"The style {style.name!r} is too long: a text of it has over {LONGEST_FIELD} characters."
            )
        known = self.load().get(style.name)
        path = known.path if known and known.path else style.path or self._new_file()
        _rewrite(path, lambda rows: _with(rows, style))

    def delete(self, name: str) -> None:
        """Take the style of that name out of every file that has it. Raises StyleFileError if none has."""
        holders = [path for path in self.files if any(row.name == name for row in read_style_file(path))]
        if not holders or name.startswith("#"):
            raise StyleFileError(f"There is no style named {name!r}: choose one from the list.")
        for path in holders:
            _rewrite(path, lambda rows: [row for row in rows if row.name != name])

    def _new_file(self) -> Path:
        plain = (path for path in self.patterns if not set("*?[") & set(path.name))
        path = next(plain, None) or next(iter(self.files), None)
        if path is None:
            raise StyleFileError("No style file is set to save to: name one without wildcards in --styles-file.")
        return path


def _with(rows: list[Style], style: Style) -> list[Style]:
    if any(row.name == style.name for row in rows):
        return [style if row.name == style.name else row for row in rows]
    return [*rows, style]


def _rewrite(path: Path, change: Callable[[list[Style]], list[Style]]) -> None:
    """Change a file that somebody else may be writing: what they saved in between is read again, not lost."""
    with _WRITING:
        for _ in range(_TRIES):
            before = path.read_bytes() if path.is_file() else None
            if before is not None:
                _refuse_not_understood(path, before)
            rows = change(read_style_file(path) if before is not None else [])
            if (path.read_bytes() if path.is_file() else None) == before:
                write_style_file(path, rows)
                return
        raise StyleFileError(f"The style file {path} is being written by another program: try again.")


def read_style_file(path: Path) -> list[Style]:
    """The rows of one file, those whose name begins with # included. Raises StyleFileError.

    The header is `name,prompt,negative_prompt`, or `name,text` as in A1111's first versions; a byte order mark is fine,
    and so are semicolons or tabs for commas.
    """
    fields, rows = _table(path, path.read_bytes())
    if fields and "name" not in fields:
        # Saving a style would write the file anew, without what is in it now.
        raise StyleFileError(
            f"The style file {path} has no column `name`: its first line has to be {','.join(HEADER)}."
        )
    styles = []
    for row in rows:
        prompt = row.get("prompt") if "prompt" in row else row.get("text")
        if row.get("name"):
            styles.append(Style(row["name"], prompt or "", row.get("negative_prompt") or "", path))
    return styles


def _table(path: Path, data: bytes) -> tuple[Sequence[str], list[dict[str | None, Any]]]:
    """The header and the rows; cells beyond the header stand under None. Raises StyleFileError."""
    text = decoded(data)
    # Spreadsheets put what stands between numbers elsewhere.
    head = text.lstrip().partition("\n")[0]
    comma = next((mark for mark in ";\t" if head.startswith(f"name{mark}")), ",")
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, delimiter=comma)
        rows: list[dict[str | None, Any]] = list(table)
    except csv.Error as error:
        raise StyleFileError(
            f"The style file {path} is no table that can be read ({error}): repair or remove it."
        ) from error
    return table.fieldnames or (), rows


def _refuse_not_understood(path: Path, data: bytes) -> None:
    """Raise StyleFileError where writing the file anew would lose something that stands in it."""
    fields, rows = _table(path, data)
    unknown = [field for field in fields if field not in (*HEADER, "text")]
    if unknown:
        raise StyleFileError(
            f"The style file {path} is not written over: its columns {', '.join(unknown)[:100]} would be lost."
        )
    for number, row in enumerate(rows, start=1):
        cells = [cell for cell in row.values() if cell]
        if row.get(None) or (cells and not row.get("name")):
            raise StyleFileError(
                f"The style file {path} is not written over: its style {number} has too many columns or no name."
            )


def write_style_file(path: Path, styles: Sequence[Style]) -> None:
    """Write one file whole or not at all, and leave the old one beside it with `.bak` behind its name."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(HEADER)
    writer.writerows((style.name, style.prompt, style.negative_prompt) for style in styles)
    path = path.resolve()
    try:
        if path.is_file():
            write_atomic(path.with_name(path.name + ".bak"), path.read_bytes(), overwrite=True)
        write_atomic(path, table.getvalue().encode("utf-8-sig", errors="replace"), overwrite=True)
    except SaveError as error:
        raise StyleFileError(f"The style was not saved: {error}") from error
