"""log.csv beside the pictures of the Save button: one row per click, in A1111's columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from modules.files import save_error, write_atomic

COLUMNS: Final = (
    "prompt",
    "seed",
    "width",
    "height",
    "sampler",
    "cfgs",
    "steps",
    "filename",
    "negative_prompt",
    "sd_model_name",
    "sd_model_hash",
)
_LONGEST_FIELD: Final = 2**31 - 1


def append_row(path: Path, values: Mapping[str, object]) -> None:
    """Append a row; a file with fewer columns gets the new ones first, and columns of others are kept.

    Raises SaveError.
    """
    try:
        header = _header(path)
        if not set(COLUMNS) <= set(header):
            header = [*header, *(column for column in COLUMNS if column not in header)]
            _migrate(path, header)
        _append(path, [str(values.get(column, "")) for column in header])
    except (OSError, csv.Error) as error:
        raise save_error(path, error if isinstance(error, OSError) else OSError(str(error))) from error


def _header(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            return next(csv.reader(file), [])
    except FileNotFoundError:
        return []


def _migrate(path: Path, header: Sequence[str]) -> None:
    """Write the file anew under `header`, empty cells at the end of the rows it has."""
    # A prompt may have a million characters; the csv module stops at 131072 of its own accord.
    csv.field_size_limit(_LONGEST_FIELD)
    rows: list[list[str]] = []
    if path.exists():
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = list(csv.reader(file))[1:]
    text = "".join(map(_line, [header, *([*row, *[""] * (len(header) - len(row))] for row in rows if row)]))
    write_atomic(path, text.encode("utf-8", "replace"), overwrite=True)


def _append(path: Path, row: Sequence[str]) -> None:
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            # A crash may have cut the last row: ours begins on a line of its own.
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\r\n")
        file.write(_line(row).encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())


def _line(row: Sequence[str]) -> str:
    file = io.StringIO(newline="")
    csv.writer(file).writerow(row)
    return file.getvalue()
