"""Ratings, tags, boards, saved searches and favourite prompts: written beside the index, and outliving it."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from modules.gallery.index.errors import GalleryError, UnknownEntry
from modules.gallery.index.store import GalleryFiles
from modules.gallery.index.writing import folded


@dataclass(frozen=True, slots=True)
class Named:
    """A board, or a saved search with its text `q`."""

    id: str
    name: str
    q: str = ""
    count: int = 0


class Marks:
    """What people say about pictures, by the digests of what is in the files. Safe to use from any thread.

    Every change is on disk when its method returns. Every method raises IndexFileError.
    """

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files

    def mark(
        self,
        contents: Collection[bytes],
        *,
        rating: int | None = None,
        favourite: bool | None = None,
        add_tags: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
    ) -> None:
        """Rate pictures from 1 to 5 (0: not at all), make them favourites, and tag them. None leaves what there is."""
        added = [tag for tag in map(str.strip, add_tags) if tag]
        removed = [folded(tag) for tag in remove_tags]
        with self._files.change_marks() as write:
            for content in contents:
                if rating is not None:
                    _set(write, content, "rating", rating)
                if favourite is not None:
                    _set(write, content, "favourite", int(favourite))
                tag = "INSERT OR REPLACE INTO tags (tag, folded, content) VALUES (?, ?, ?)"
                write.executemany(tag, [(one, folded(one), content) for one in added])
                untag = "DELETE FROM tags WHERE folded = ? AND content = ?"
                write.executemany(untag, [(one, content) for one in removed])

    def copy(self, old: bytes, new: bytes) -> None:
        """Give what has the content `new` all marks of `old`, in place of its own."""
        columns = {
            "marks": "rating, favourite",
            "tags": "folded, tag",
            "board_pictures": "board",
            "owners": "owner",
        }
        with self._files.change_marks() as write:
            for table, others in columns.items():
                sql = f"INSERT OR REPLACE INTO {table} (content, {others}) SELECT ?, {others} FROM {table}"
                write.execute(f"{sql} WHERE content = ?", (new, old))

    def own(self, content: bytes, owner: str) -> None:
        """Note whose login made a picture."""
        with self._files.change_marks() as write:
            write.execute("INSERT OR IGNORE INTO owners (content, owner) VALUES (?, ?)", (content, owner))

    # Boards

    def boards_of(self, content: bytes) -> list[Named]:
        """The boards that a picture lies on."""
        sql = (
            "SELECT b.id, b.name FROM marks.boards AS b JOIN marks.board_pictures AS c ON c.board = b.id"
            " WHERE c.content = ? ORDER BY b.created"
        )
        return [Named(str(row[0]), str(row[1])) for row in self._files.read(sql, (content,))]

    def add_board(self, name: str) -> Named:
        """A new, empty board. Raises GalleryError for a name without a sign in it."""
        board = Named(secrets.token_hex(6), _name(name))
        with self._files.change_marks() as write:
            sql = "INSERT INTO boards (id, name, created) VALUES (?, ?, ?)"
            write.execute(sql, (board.id, board.name, time.time()))
        return board

    def rename_board(self, board: str, name: str) -> Named:
        """Raises UnknownEntry, GalleryError."""
        named = Named(board, _name(name))
        with self._files.change_marks() as write:
            _one(write.execute("UPDATE boards SET name = ? WHERE id = ?", (named.name, board)), "board", board)
        return named

    def remove_board(self, board: str) -> None:
        """Remove a board; its pictures stay where they are. Raises UnknownEntry."""
        with self._files.change_marks() as write:
            _one(write.execute("DELETE FROM boards WHERE id = ?", (board,)), "board", board)

    def pin(self, board: str, contents: Collection[bytes], *, remove: bool = False) -> None:
        """Lay pictures on a board, or take them off. Raises UnknownEntry."""
        with self._files.change_marks() as write:
            if write.execute("SELECT 1 FROM boards WHERE id = ?", (board,)).fetchone() is None:
                raise _unknown("board", board)
            if remove:
                sql = "DELETE FROM board_pictures WHERE board = ? AND content = ?"
            else:
                sql = "INSERT OR IGNORE INTO board_pictures (board, content) VALUES (?, ?)"
            write.executemany(sql, [(board, content) for content in contents])

    # Saved searches

    def searches(self) -> list[Named]:
        """Saved searches, the oldest first."""
        rows = self._files.read("SELECT id, name, q FROM marks.searches ORDER BY created")
        return [Named(str(row["id"]), str(row["name"]), str(row["q"])) for row in rows]

    def add_search(self, name: str, q: str) -> Named:
        """Raises GalleryError for a name without a sign in it."""
        search = Named(secrets.token_hex(6), _name(name), q)
        with self._files.change_marks() as write:
            sql = "INSERT INTO searches (id, name, q, created) VALUES (?, ?, ?, ?)"
            write.execute(sql, (search.id, search.name, q, time.time()))
        return search

    def remove_search(self, search: str) -> None:
        """Raises UnknownEntry."""
        with self._files.change_marks() as write:
            _one(write.execute("DELETE FROM searches WHERE id = ?", (search,)), "saved search", search)

    # Prompts

    def favour_prompt(self, digests: tuple[bytes, bytes], texts: Sequence[str] | None) -> None:
        """Make a prompt with its negative prompt a favourite, with its two `texts`; None: it is none any more."""
        with self._files.change_marks() as write:
            if texts is None:
                sql = "DELETE FROM favourite_prompts WHERE prompt_digest = ? AND negative_digest = ?"
                write.execute(sql, digests)
                return
            write.execute(
                "INSERT OR IGNORE INTO favourite_prompts (prompt_digest, negative_digest, prompt, negative, created)"
                " VALUES (?, ?, ?, ?, ?)",
                (*digests, *texts, time.time()),
            )


def _set(write: sqlite3.Connection, content: bytes, column: str, value: int) -> None:
    sql = f"INSERT INTO marks (content, {column}) VALUES (?, ?) ON CONFLICT (content) DO UPDATE SET {column} = ?"
    write.execute(sql, (content, value, value))


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise GalleryError("The name is empty: write one.")
    return name


def _one(done: sqlite3.Cursor, what: str, entry: str) -> None:
    if done.rowcount != 1:
        raise _unknown(what, entry)


def _unknown(what: str, entry: str) -> UnknownEntry:
    return UnknownEntry(f"There is no {what} {entry[:40]!r}: it was deleted.")
