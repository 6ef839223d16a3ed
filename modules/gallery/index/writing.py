"""Rows of pictures written: what their texts and settings share is stored once."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Final

from modules.files import is_text
from modules.gallery.index.reading import ReadPicture
from modules.gallery.index.store import GalleryFiles

MODEL: Final = "Model"
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_MOST_CACHED: Final = 20_000
# Whoever looks after more changes than this reads all rows again.
_MOST_TOUCHED: Final = 10_000


class State(IntEnum):
    """Where a picture's file is."""

    THERE = 0
    PERHAPS_GONE = 1
    TRASHED = 2
    UNREADABLE = 3


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as its folder lists it; `inode` names device and inode, and stays when the file is moved."""

    name: str
    mtime_ns: int
    size: int
    inode: str

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> FileFacts:
        # What Windows lists has no inode.
        inode = f"{status.st_dev:x}:{status.st_ino:x}" if status.st_ino else ""
        return cls(name, status.st_mtime_ns, status.st_size, inode)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in the folder of this row, and what was read of it.

    `trash` is its path in the trash, `trashed` when it came there, `owner` the login that made it, where known.
    """

    folder: int
    file: FileFacts
    read: ReadPicture
    trash: str = ""
    trashed: float = 0.0
    owner: str | None = None


def shown_name(name: str) -> str:
    """A file's name as text: what is none is written with backslashes."""
    return name if is_text(name) else name.encode("utf-8", "backslashreplace").decode()


def folded(text: str) -> str:
    """`text` for comparing: without cases; `_` and blanks are one."""
    return text.casefold().replace("_", " ").strip()


def number_of(text: str) -> float | None:
    """The number that a value is; None for any other text."""
    return float(text) if _NUMBER.fullmatch(text) else None


@dataclass(slots=True)
class _Ids:
    """Ids of rows that many pictures share, by what is in them. Forgotten when a transaction fails."""

    known: dict[Hashable, int] = field(default_factory=dict)

    def of(self, key: Hashable, make: Callable[[], int]) -> int:
        if (found := self.known.get(key)) is None:
            if len(self.known) >= _MOST_CACHED:
                self.known.clear()
            found = self.known[key] = make()
        return found


class IndexWriter:
    """Writes what was read. Safe to use from any thread. Every method raises IndexFileError."""

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files
        self._ids = _Ids()

    def forget(self) -> None:
        """Forget ids: the index was begun anew."""
        self._ids.known.clear()

    def folder(self, path: Path, name: str, device: int = 0) -> int:
        """The row of a folder, made where there is none."""
        raw = os.fsencode(path)
        if rows := self._files.read("SELECT id, device FROM folders WHERE path = ?", (raw,)):
            return int(rows[0]["id"])
        with self._files.change() as write:
            sql = "INSERT INTO folders (path, name, device) VALUES (?, ?, ?) ON CONFLICT (path) DO NOTHING"
            write.execute(sql, (raw, shown_name(name), device))
            return int(write.execute("SELECT id FROM folders WHERE path = ?", (raw,)).fetchone()[0])

    def put(self, entries: Sequence[Entry]) -> list[int]:
        """Write rows for files in one transaction; a row that has folder and name is replaced in its place.

        Marks of a picture that was edited in its place go over to what it is now. Returns the rows' ids.
        """
        try:
            with self._files.change() as write:
                rows = [self._put(write, entry) for entry in entries]
        except BaseException:
            self._ids.known.clear()
            raise
        self._move_marks([(old, new) for _, old, new in rows if old is not None])
        rated = [(content, entry.read.rating) for (_, _, content), entry in zip(rows, entries, strict=True)]
        self._rate_as_said([(content, rating) for content, rating in rated if content and rating])
        return [row for row, _, _ in rows]

    def _put(self, write: sqlite3.Connection, entry: Entry) -> tuple[int, bytes | None, bytes]:
        file, read = entry.file, entry.read
        content = bytes.fromhex(read.content) if read.content else b""
        values: dict[str, object] = {
            "folder": entry.folder,
            "name": shown_name(file.name),
            "raw": None if is_text(file.name) else os.fsencode(file.name),
            "trash": entry.trash,
            "trashed": entry.trashed,
            "state": State.UNREADABLE if read.problem else State.TRASHED if entry.trash else State.THERE,
            "mtime_ns": file.mtime_ns,
            "bytes": file.size,
            "inode": file.inode,
            "created": file.mtime_ns / 1e9,
            "day": _day(file.mtime_ns / 1e9),
            "width": read.width,
            "height": read.height,
            "program": read.program,
            "stack": read.stack,
            "seed": read.seed,
            "content": content,
            "owner": entry.owner or _owner(write, content),
            **self._shared(write, read),
        }
        where = (entry.folder, values["name"], entry.trash)
        old = write.execute(
            "SELECT id, content FROM pictures WHERE folder = ? AND name = ? AND trash = ?", where
        ).fetchone()
        if old is None:
            columns, marks = ", ".join(values), ", ".join("?" * len(values))
            made = write.execute(f"INSERT INTO pictures ({columns}) VALUES ({marks})", tuple(values.values()))
            return int(made.lastrowid or 0), None, content
        settings = ", ".join(f"{column} = ?" for column in values)
        write.execute(f"UPDATE pictures SET {settings} WHERE id = ?", (*values.values(), old["id"]))
        for seen in ("looks", "meanings"):
            write.execute(f"DELETE FROM {seen} WHERE picture = ?", (old["id"],))
        changed = old["content"] if old["content"] != content and content else None
        return int(old["id"]), changed, content

    def _shared(self, write: sqlite3.Connection, read: ReadPicture) -> Mapping[str, object]:
        if not (read.prompt or read.negative or read.facts or read.seed is not None):
            return {"recipe": None, "prompts": None, "model": None}
        texts = (self._text(write, read.prompt), self._text(write, read.negative))
        model = next((value for key, value in read.facts if key == MODEL), None)
        return {
            "recipe": self._recipe(write, read.facts),
            "prompts": self._row(write, "prompts", {"prompt": texts[0], "negative": texts[1]}),
            "model": None if model is None else self._value(write, MODEL, model),
        }

    def _text(self, write: sqlite3.Connection, text: str) -> int:
        small = text.casefold()
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).digest()
        return self._row(write, "texts", {"digest": digest}, {"text": text, "folded": None if small == text else small})

    def _recipe(self, write: sqlite3.Connection, facts: Sequence[tuple[str, str]]) -> int:
        digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=12).digest()

        def make() -> int:
            found = write.execute("SELECT id FROM recipes WHERE digest = ?", (digest,)).fetchone()
            if found is not None:
                return int(found[0])
            recipe = int(write.execute("INSERT INTO recipes (digest) VALUES (?)", (digest,)).lastrowid or 0)
            pairs = [(self._value(write, key, value), recipe) for key, value in facts]
            write.executemany("INSERT OR IGNORE INTO facts (value, recipe) VALUES (?, ?)", pairs)
            return recipe

        return self._ids.of(("recipe", digest), make)

    def _value(self, write: sqlite3.Connection, key: str, value: str) -> int:
        row = self._row(write, "keys", {"name": key}, {"folded": folded(key)})
        more = {"folded": folded(value), "number": number_of(value)}
        return self._row(write, "fact_values", {"key": row, "text": value}, more)

    def _row(
        self,
        write: sqlite3.Connection,
        table: str,
        unique: Mapping[str, Hashable],
        more: Mapping[str, object] | None = None,
    ) -> int:
        """The row of `table` with these unique columns, made where there is none."""

        def make() -> int:
            where = " AND ".join(f"{column} = ?" for column in unique)
            found = write.execute(f"SELECT id FROM {table} WHERE {where}", tuple(unique.values())).fetchone()
            if found is not None:
                return int(found[0])
            values = {**unique, **(more or {})}
            columns, marks = ", ".join(values), ", ".join("?" * len(values))
            made = write.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))
            return int(made.lastrowid or 0)

        return self._ids.of((table, *unique.values()), make)

    def _rate_as_said(self, rated: Sequence[tuple[bytes, int]]) -> None:
        """Take over the ratings that files bring along, but of pictures that somebody rated, or unrated, here."""
        if rated:
            with self._files.change_marks() as write:
                write.executemany("INSERT OR IGNORE INTO marks (content, rating) VALUES (?, ?)", rated)

    def _move_marks(self, changed: Sequence[tuple[bytes, bytes]]) -> None:
        for old, new in changed:
            if self._files.read("SELECT 1 FROM pictures WHERE content = ? LIMIT 1", (old,)):
                continue
            with self._files.change_marks() as write:
                for table in ("marks", "tags", "board_pictures", "owners"):
                    write.execute(f"UPDATE OR IGNORE {table} SET content = ? WHERE content = ?", (new, old))

    def move(self, row: int, folder: int, file: FileFacts) -> None:
        """A picture's file was moved or renamed: it has its row still."""
        with self._files.change() as write:
            name, raw = shown_name(file.name), None if is_text(file.name) else os.fsencode(file.name)
            taken = "DELETE FROM pictures WHERE folder = ? AND name = ? AND trash = '' AND id <> ?"
            write.execute(taken, (folder, name, row))
            write.execute(
                "UPDATE pictures SET folder = ?, name = ?, raw = ?, trash = '', state = ?, inode = ? WHERE id = ?",
                (folder, name, raw, State.THERE, file.inode, row),
            )

    def set_state(self, rows: Iterable[int], state: State) -> None:
        """Write where the files of these rows are."""
        with self._files.change() as write:
            write.executemany("UPDATE pictures SET state = ? WHERE id = ?", [(state, row) for row in rows])

    def set_trash(self, row: int, trash: str) -> None:
        """A picture went to the trash (`trash` is its path there), or came back (an empty text)."""
        with self._files.change() as write:
            state = State.TRASHED if trash else State.THERE
            sql = "UPDATE OR REPLACE pictures SET trash = ?, trashed = ?, state = ? WHERE id = ?"
            write.execute(sql, (trash, time.time() if trash else 0.0, state, row))

    def remove(self, rows: Iterable[int]) -> None:
        """Forget pictures whose files are gone. Their marks stay."""
        with self._files.change() as write:
            write.executemany("DELETE FROM pictures WHERE id = ?", [(row,) for row in rows])

    def remove_trashed(self, rows: Iterable[int]) -> None:
        """Forget pictures that were deleted from the trash, but those that were taken back in that moment."""
        with self._files.change() as write:
            sql = "DELETE FROM pictures WHERE id = ? AND state = ?"
            write.executemany(sql, [(row, State.TRASHED) for row in rows])

    def folder_read(self, folder: int, mtime_ns: int, device: int) -> None:
        """A folder's list of files was read when it had this modification time; 0: read it again."""
        with self._files.change() as write:
            write.execute("UPDATE folders SET mtime_ns = ?, device = ? WHERE id = ?", (mtime_ns, device, folder))

    def forget_folders(self, still_there: Callable[[Path], bool]) -> None:
        """Forget folders without pictures, but those of which `still_there` is true."""
        sql = "SELECT id, path FROM folders WHERE NOT EXISTS (SELECT 1 FROM pictures WHERE folder = folders.id)"
        gone = [(row["id"],) for row in self._files.read(sql) if not still_there(Path(os.fsdecode(row["path"])))]
        if gone:
            with self._files.change() as write:
                empty = "NOT EXISTS (SELECT 1 FROM pictures WHERE folder = folders.id)"
                write.executemany(f"DELETE FROM folders WHERE id = ? AND {empty}", gone)

    def tidy(self) -> None:
        """Forget prompts and settings that no picture has any more, and count what there is, for SQLite's plans."""
        with self._files.change() as write:
            write.execute("DELETE FROM recipes WHERE id NOT IN (SELECT recipe FROM pictures WHERE recipe IS NOT NULL)")
            write.execute(
                "DELETE FROM prompts WHERE id NOT IN (SELECT prompts FROM pictures WHERE prompts IS NOT NULL)"
            )
            gone = write.execute(
                "DELETE FROM texts WHERE id NOT IN (SELECT prompt FROM prompts UNION SELECT negative FROM prompts)"
            )
            self._ids.known.clear()
            if gone.rowcount:
                write.execute("INSERT INTO touched (picture) VALUES (0)")
            write.execute("DELETE FROM touched WHERE seq < (SELECT max(seq) FROM touched) - ?", (_MOST_TOUCHED,))
            write.execute("PRAGMA analysis_limit = 1000")
            write.execute("ANALYZE main")


def _day(moment: float) -> int:
    try:
        return int(datetime.fromtimestamp(moment).strftime("%Y%m%d"))
    except (OverflowError, OSError, ValueError):
        return 0


def _owner(write: sqlite3.Connection, content: bytes) -> str | None:
    found = write.execute("SELECT owner FROM marks.owners WHERE content = ?", (content,)).fetchone()
    return None if found is None else str(found[0])
