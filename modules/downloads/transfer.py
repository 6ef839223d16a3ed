"""Bytes from an address into a partial file, from where it ends: what is there already is never fetched again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from modules.downloads.errors import ConnectionLost, DownloadError
from modules.downloads.web import Web
from modules.files import save_error

# Left free on the disk, so that pictures can still be saved.
SPARE: Final = 256 * 2**20
# So much may be lost when the power goes.
_SYNC_EVERY: Final = 256 * 2**20
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class Stopped(Exception):
    """Somebody wants the transfer to end here."""


@dataclass(frozen=True, slots=True)
class TransferWatch:
    """What a transfer reports to: the bytes that are there of how many (0: not known), the mark by which the server
    recognises this state of the file, and each piece on the disk. `stopped` says that it is to end."""

    received: Callable[[int, int], None]
    marked: Callable[[str], None]
    written: Callable[[Path], None]
    stopped: Callable[[], bool]


def transfer(web: Web, address: str, partial: Path, watch: TransferWatch, *, mark: str = "", size: int = 0) -> None:
    """Fetch what `partial` lacks. `size` in bytes is what was promised, 0 if nothing was.

    Raises:
        DownloadError: the server refuses or gives something else, or the disk is full.
        ConnectionLost: trying again may help.
        Stopped: as `watch` wanted.
    """
    try:
        have = partial.stat().st_size
    except FileNotFoundError:
        have = 0
    # Without the mark nobody knows whether the rest belongs to the same file.
    if have and not mark:
        have = 0
    headers = {"Range": f"bytes={have}-", "If-Range": mark} if have else {}
    with web.open(address, headers) as answer:
        if answer.status_code == 416:
            if size and have == size:
                return
            partial.unlink(missing_ok=True)
            raise ConnectionLost("The file was changed at its source, and is fetched from its beginning")
        start, whole = _extent(answer)
        if start not in {0, have}:
            raise ConnectionLost("The server gave another part of the file than was wanted")
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise DownloadError(
                "A web page came instead of the file: open the address in a browser; a login or terms stand before it."
            )
        if size and whole and whole != size:
            raise DownloadError(f"{size:,} bytes were announced, but the file at this address has {whole:,}.")
        watch.marked(answer.headers.get("etag", "") or answer.headers.get("last-modified", ""))
        whole = whole or size
        _check_space(partial, whole - start)
        _write(answer, partial, start, whole, watch)


def _extent(answer: httpx.Response) -> tuple[int, int]:
    """Where the answer begins in the file, and how long the file is; 0 where that isn't said."""
    if answer.status_code == 206:
        found = _RANGE.fullmatch(answer.headers.get("content-range", ""))
        if found is None:
            raise ConnectionLost("The server gave a part of the file without saying which")
        return int(found[1]), 0 if found[2] == "*" else int(found[2])
    length = answer.headers.get("content-length", "")
    return 0, int(length) if length.isdecimal() else 0


def _check_space(partial: Path, wanted: int) -> None:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(partial.parent).free
    except OSError as error:
        raise DownloadError(str(save_error(partial, error))) from error
    if wanted + SPARE > free:
        raise DownloadError(
            f"The disk of {partial.parent} has {free / 1e9:.1f} GB free and this needs {(wanted + SPARE) / 1e9:.1f} GB "
            "more: free some space, then resume."
        )


def _write(answer: httpx.Response, partial: Path, start: int, whole: int, watch: TransferWatch) -> None:
    there, synced = start, start
    try:
        with partial.open("r+b" if start else "wb") as file:
            file.seek(start)
            file.truncate()
            try:
                for piece in answer.iter_raw():
                    if whole and there + len(piece) > whole:
                        raise DownloadError(f"The server gives more than the {whole:,} bytes that it announced.")
                    file.write(piece)
                    there += len(piece)
                    file.flush()
                    watch.received(there, whole)
                    watch.written(partial)
                    if there - synced > _SYNC_EVERY:
                        os.fsync(file.fileno())
                        synced = there
                    if watch.stopped():
                        raise Stopped
            finally:
                os.fsync(file.fileno())
    except httpx.HTTPError as error:
        raise ConnectionLost(f"The connection broke after {there:,} of {whole:,} bytes") from error
    except OSError as error:
        raise DownloadError(str(save_error(partial, error)).replace("was not saved", "is not whole yet")) from error
    if whole and there < whole:
        raise ConnectionLost(f"The connection broke after {there:,} of {whole:,} bytes")
