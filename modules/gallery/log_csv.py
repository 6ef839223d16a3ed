"""log.csv beside the pictures of the Save button: one row per click, in A1111's columns."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from modules.files import SaveError, decoded, is_plain, save_error, write_atomic

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
    """Append a row; a file with fewer columns gets the new ones first, and other programs' columns stay.

    A file that is not UTF-8 is written as UTF-8 first. Raises SaveError, also for a file that is no such table: it
    stays as it is.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
        rows, comma = _read(path, data)
        header = rows[0] if rows else []
        missing = [column for column in COLUMNS if column not in header]
        if missing or not is_plain(data):
            header = [*header, *missing]
            rows = [header, *([*row, *[""] * (len(header) - len(row))] for row in rows[1:] if row)]
            text = "".join(_line(row, comma) for row in rows)
            write_atomic(path, text.encode("utf-8", "replace"), overwrite=True)
        _append(path, _line([str(values.get(column, "")) for column in header], comma))
    except OSError as error:
        raise save_error(path, error) from error


def _read(path: Path, data: bytes) -> tuple[list[list[str]], str]:
    """The rows of the log, and what stands between its columns. Raises SaveError."""
    # A prompt may have a million characters; the csv module stops at 131072 of its own accord.
    csv.field_size_limit(_LONGEST_FIELD)
    text = decoded(data)
    head = text.partition("\n")[0]
    comma = next((mark for mark in ";\t" if f"prompt{mark}" in head), ",")
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=comma))
    except csv.Error as error:
        raise SaveError(f"{path.name} was not saved: {path} is no table that can be read ({error}).") from error
    if rows and not set(COLUMNS) & set(rows[0]):
        raise SaveError(f"{path.name} was not saved: {path} has none of this log's columns; move it away.")
    return rows, comma


def _append(path: Path, line: str) -> None:
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            # A crash may have cut the last row: ours begins on a line of its own.
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\r\n")
        file.write(line.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())


def _line(row: Sequence[str], comma: str) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=comma).writerow(row)
    return file.getvalue()
