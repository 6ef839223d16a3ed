"""The list of downloads: one after the other in a thread of its own, remembered so that no death loses what came.

What is on the disk is the truth: the list says what is wanted, the partial file beside the target how much of it is
there. Nothing begins without a click: what a dead server left under way stands there paused.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypedDict, Unpack

from modules.downloads.arrival import KINDS, ModelPlaces, look_at_beginning, look_at_whole, sha256_of_file, sidecars
from modules.downloads.errors import ConnectionLost, DownloadError
from modules.downloads.sites import SUFFIXES, RemoteFile
from modules.downloads.transfer import Stopped, TransferWatch, transfer
from modules.downloads.web import Web
from modules.files import SaveError, move_unless_taken, save_error, write_atomic, write_text_atomic
from modules.pictures import PictureError
from modules.pictures.opening import open_picture, read_header

DownloadState = Literal["waiting", "running", "checking", "paused", "failed", "finished"]
UNDER_WAY: Final = frozenset({"waiting", "running", "checking"})
MOST: Final = 200
# Seconds between two tries that brought nothing; a connection that brought something begins anew.
WAITS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)
_LARGEST_PREVIEW: Final = 16 * 2**20
_BAD_NAME: Final = re.compile(r'[\x00-\x1f/\\:*?"<>|]|^\.|[. ]$')
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_PREVIEWS: Final = {"PNG": ".preview.png", "JPEG": ".preview.jpeg", "WEBP": ".preview.webp"}

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Download:
    """One file on the list. Sizes are bytes, 0 for not known; `cause` says why it failed, or what it waits for.

    `mark` is what the server calls this state of the file (an ETag), `partial` the file that grows.
    """

    id: str
    name: str
    address: str
    kind: str = ""
    size: int = 0
    sha256: str = ""
    state: DownloadState = "waiting"
    received: int = 0
    cause: str = ""
    path: str = ""
    partial: str = ""
    mark: str = ""
    about: Mapping[str, Any] | None = None
    preview: str = ""


class _DownloadChanges(TypedDict, total=False):
    """What of a download changes on its way."""

    state: DownloadState
    kind: str
    received: int
    cause: str
    path: str
    mark: str


def _nobody(path: Path, kind: str) -> None:
    """Who wants to know of a file that has come."""


class Downloads:
    """The list and the thread that works on it. Safe to use from several threads."""

    def __init__(
        self,
        file: Path,
        web: Web,
        places: ModelPlaces,
        *,
        arrived: Callable[[Path, str], None] = _nobody,
        waits: Sequence[float] = WAITS,
    ) -> None:
        self._file, self._web, self._places, self._arrived, self._waits = file, web, places, arrived, waits
        self._lock = threading.Condition()
        self._list: dict[str, Download] = {}
        self._speed: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self.notice = ""
        self._read()

    def all(self) -> list[Download]:
        """The list, the oldest first."""
        with self._lock:
            return list(self._list.values())

    def speed(self, name: str) -> float:
        """Bytes a second that a running download has lately had."""
        with self._lock:
            running = name in self._list and self._list[name].state == "running"
            return self._speed.get(name, 0.0) if running else 0.0

    def add(self, file: RemoteFile, kind: str = "") -> Download:
        """Put a file on the list. `kind` is one of KINDS where somebody chose it.

        Raises:
            DownloadError: it can't be fetched, is on the list or on the disk already.
        """
        name, wanted = checked_name(file.name), kind or file.kind
        if kind and kind not in KINDS:
            raise DownloadError(f"{kind[:40]!r} is no kind of model; there are {', '.join(KINDS)}.")
        folder = self._places.folder(wanted)
        self._refuse_taken(folder / name, file)
        key = secrets.token_hex(8)
        with self._lock:
            if any(one.address == file.address and one.state in {*UNDER_WAY, "paused"} for one in self._list.values()):
                raise DownloadError(f"{name} is on the list already.")
            if len(self._list) >= MOST:
                raise DownloadError(f"The list holds {MOST} downloads: remove some that are done.")
            again = [
                key
                for key, one in self._list.items()
                if one.address == file.address and one.state in {"failed", "finished"}
            ]
            for old in again:
                self._forget(self._list.pop(old))
            download = Download(
                key,
                name,
                file.address,
                wanted,
                file.size,
                file.sha256,
                partial=str(folder / f"{name}.{key}.part"),
                about=file.about,
                preview=file.preview,
            )
            self._list[key] = download
            self._write()
            self._wake()
        return download

    def pause(self, key: str) -> Download:
        """Stop a download; what has come stays."""
        return self._turn(key, "paused", UNDER_WAY)

    def resume(self, key: str) -> Download:
        """Go on with one that was paused or has failed, from where it was."""
        return self._turn(key, "waiting", {"paused", "failed"})

    def remove(self, key: str) -> None:
        """Take a download off the list, and what has come of an unfinished one off the disk."""
        with self._lock:
            download = self._found(key)
            del self._list[key]
            self._write()
            self._lock.notify_all()
            if download.state not in {"running", "checking"}:
                self._forget(download)

    def close(self) -> None:
        """End the thread soon; what is under way is paused."""
        with self._lock:
            self._closed, thread = True, self._thread
            self._lock.notify_all()
        if thread is not None:
            thread.join(10)

    def _found(self, key: str) -> Download:
        if key not in self._list:
            raise DownloadError("That download is not on the list any more.")
        return self._list[key]

    def _turn(self, key: str, state: DownloadState, of: frozenset[str] | set[str]) -> Download:
        with self._lock:
            download = self._found(key)
            if download.state in of:
                download = self._list[key] = replace(download, state=state, cause="")
                self._write()
                self._wake()
            return download

    def _wake(self) -> None:
        self._lock.notify_all()
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._work, name="downloads", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (download := self._next()) is not None:
            try:
                self._run(download)
            except Stopped:
                pass
            except DownloadError as error:
                self._change(download.id, state="failed", cause=str(error))
            except OSError as error:
                self._change(download.id, state="failed", cause=str(save_error(Path(download.partial), error)))
            except SaveError as error:
                self._change(download.id, state="failed", cause=str(error))
            with self._lock:
                self._speed.pop(download.id, None)
                # It was removed while it ran.
                if download.id not in self._list:
                    self._forget(download)

    def _next(self) -> Download | None:
        """The download to run now; None when there is none for a while, and the thread ends."""
        with self._lock:
            while not self._closed:
                for key, one in self._list.items():
                    if one.state == "waiting":
                        self._list[key] = replace(one, state="running")
                        self._write()
                        return self._list[key]
                if not self._lock.wait(30):
                    break
            self._thread = None
            return None

    def _run(self, download: Download) -> None:
        self._fetch(download)
        self._change(download.id, state="checking")
        download = self._current(download.id)
        partial = Path(download.partial)
        if download.sha256:
            found = sha256_of_file(partial, lambda: self._stopped(download.id))
            if found is None:
                raise Stopped
            if found != download.sha256:
                partial.unlink(missing_ok=True)
                self._change(download.id, received=0, mark="")
                raise DownloadError(
                    f"{download.name} came damaged: its SHA-256 begins with {found[:10]}, not with "
                    f"{download.sha256[:10]}. It was thrown away; try again."
                )
        try:
            kind = look_at_whole(partial, download.name, download.kind)
        except DownloadError:
            partial.unlink(missing_ok=True)
            self._change(download.id, received=0, mark="")
            raise
        target = self._places.folder(kind) / download.name
        try:
            move_unless_taken(partial, target)
        except FileExistsError:
            raise DownloadError(
                f"There is a {download.name} in {target.parent} already: rename it, then resume."
            ) from None
        notes = self._keep_beside(download, target)
        self._change(
            download.id, state="finished", kind=kind, path=str(target), received=target.stat().st_size, cause=notes
        )
        _log.info("Fetched %s", target)
        self._arrived(target, kind)

    def _fetch(self, download: Download) -> None:
        """Until all is there. Raises DownloadError once as many tries as there are waits brought nothing."""
        key, partial, failures = download.id, Path(download.partial), 0
        meter = _Meter()
        looked = False

        def received(there: int, whole: int) -> None:
            with self._lock:
                if key in self._list:
                    self._list[key] = replace(
                        self._list[key], received=there, size=whole or self._list[key].size, cause=""
                    )
                    self._speed[key] = meter.bytes_a_second(there)

        def written(path: Path) -> None:
            nonlocal looked
            looked = looked or look_at_beginning(path, download.name, download.kind) is not None

        watch = TransferWatch(received, lambda mark: self._marked(key, mark), written, lambda: self._stopped(key))
        while True:
            now = self._current(key)
            before = partial.stat().st_size if partial.exists() else 0
            try:
                transfer(self._web, now.address, partial, watch, mark=now.mark, size=now.size)
                return
            except ConnectionLost as lost:
                brought = partial.exists() and partial.stat().st_size > before
                failures = 0 if brought else failures + 1
                if failures > len(self._waits):
                    raise DownloadError(f"{lost}. What has come is kept: resume later.") from lost
                wait = max(self._waits[max(0, failures - 1)], min(lost.after, 120.0))
                self._change(key, cause=f"{lost}; trying again.", write=False)
                self._pause_for(key, wait)

    def _current(self, key: str) -> Download:
        with self._lock:
            if self._stopped(key):
                raise Stopped
            return self._list[key]

    def _pause_for(self, key: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._lock:
            while (left := until - time.monotonic()) > 0:
                if self._stopped(key):
                    raise Stopped
                self._lock.wait(left)

    def _stopped(self, key: str) -> bool:
        with self._lock:
            return self._closed or key not in self._list or self._list[key].state not in {"running", "checking"}

    def _marked(self, key: str, mark: str) -> None:
        # A weak mark says that the contents mean the same, not that their bytes are.
        self._change(key, mark="" if mark.startswith("W/") else mark)

    def _change(self, key: str, *, write: bool = True, **changes: Unpack[_DownloadChanges]) -> Download | None:
        with self._lock:
            if key not in self._list:
                return None
            # Who pauses while a last step ends is heard.
            if self._list[key].state == "paused" and changes.get("state") in {"checking", "failed"}:
                raise Stopped
            self._list[key] = replace(self._list[key], **changes)
            if write:
                self._write()
            return self._list[key]

    def _keep_beside(self, download: Download, target: Path) -> str:
        """Write description and preview beside a model. What fails is no reason to lose it: one sentence says it."""
        wanted: dict[str, bytes] = sidecars(download.about) if download.about else {}
        problems = []
        if download.preview:
            try:
                data = self._web.read(download.preview, _LARGEST_PREVIEW)
                open_picture(data, "The preview")
                wanted[_PREVIEWS[read_header(data).format or ""]] = data
            except (DownloadError, ConnectionLost, PictureError, KeyError):
                problems.append("Its preview could not be fetched.")
        for ending, data in wanted.items():
            try:
                write_atomic(target.with_suffix(ending), data)
            except FileExistsError:
                continue
            except SaveError as error:
                problems.append(str(error))
        return " ".join(problems)

    def _refuse_taken(self, target: Path, file: RemoteFile) -> None:
        with contextlib.suppress(OSError):
            size = target.stat().st_size
            same = "it is there already" if file.size and size == file.size else "a file of that name is there"
            raise DownloadError(f"{target.name} is not fetched: {same}, in {target.parent}.")

    def _forget(self, download: Download) -> None:
        if download.state != "finished" and download.partial:
            with contextlib.suppress(OSError):
                Path(download.partial).unlink()

    def _write(self) -> None:
        """Remember the list. A full disk must not end a download that it stands for: it is said once."""
        listed = [asdict(one) for one in self._list.values()]
        try:
            write_text_atomic(self._file, json.dumps({"version": 1, "downloads": listed}, ensure_ascii=False))
        except SaveError as error:
            self.notice = str(error)
            _log.warning("%s", error)

    def _read(self) -> None:
        try:
            text = self._file.read_text("utf-8")
            listed = json.loads(text)["downloads"]
            known = {field.name for field in fields(Download)}
            read = [Download(**{key: value for key, value in one.items() if key in known}) for one in listed]
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.notice = f"The list of downloads in {self._file} can't be read and begins anew."
            _log.warning("%s %s", self.notice, error)
            with contextlib.suppress(OSError):
                self._file.replace(self._file.with_suffix(".broken"))
            return
        for one in read[:MOST]:
            there = _size(Path(one.partial))
            state: DownloadState = "paused" if one.state in UNDER_WAY else one.state
            received = one.received if state == "finished" else there
            self._list[one.id] = replace(one, state=state, received=received)


class _Meter:
    """Bytes a second over the last few seconds."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def bytes_a_second(self, there: int) -> float:
        now = time.monotonic()
        self._seen = [one for one in self._seen if now - one[0] < 5.0 and one[1] <= there][-500:]
        self._seen.append((now, there))
        began, first = self._seen[0]
        return (there - first) / (now - began) if now > began else 0.0


def checked_name(name: str) -> str:
    """`name` as a file can be called on every system. Raises DownloadError for what can't be a model file's."""
    if not name.lower().endswith(SUFFIXES):
        raise DownloadError(f"{name[:80]!r} is no model file: wanted is one that ends in {', '.join(SUFFIXES)}.")
    clean = _BAD_NAME.sub("_", name)
    if len(clean.encode()) > 200 or not clean.isprintable() or _RESERVED.fullmatch(clean):
        raise DownloadError(f"{name[:80]!r} can't be the name of a file.")
    return clean


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
