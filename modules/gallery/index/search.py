"""Questions to the index: pages of pictures, days, folders, and what may be searched for."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from modules.gallery.index.conditions import Compiler, Conditions
from modules.gallery.index.query import parse_search
from modules.gallery.index.records import Counted, Facets, IndexedPicture, Looker, SearchPage, Sort
from modules.gallery.index.store import MANY, GalleryFiles
from modules.gallery.index.writing import State

_RATING: Final = "coalesce((SELECT rating FROM marks.marks WHERE content = p.content), 0)"
# By what a search is sorted, the last one telling all pictures apart, and whether upwards.
_ORDERS: Final[Mapping[Sort, tuple[tuple[str, ...], bool]]] = {
    "newest": (("p.created", "p.id"), False),
    "oldest": (("p.created", "p.id"), True),
    "name": (("p.name", "p.id"), True),
    "rating": ((_RATING, "p.created", "p.id"), False),
    "size": (("p.width * p.height", "p.created", "p.id"), False),
}
_COLUMNS: Final = (
    "SELECT p.*, f.name AS folder_name, f.path AS folder_path, m.rating, m.favourite FROM pictures AS p"
    " JOIN folders AS f ON f.id = p.folder LEFT JOIN marks.marks AS m ON m.content = p.content"
)
# Above, comparing every text is faster than what the word index does.
_RARE: Final = 1500
EVERYBODY: Final = Looker()
One = TypeVar("One")


class Search:
    """Reads the index. Every method raises IndexFileError when a file can't be read."""

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files
        self._keys: tuple[int, Mapping[str, int]] = (-1, {})
        self._lock = threading.Lock()

    def compiler(self) -> Compiler:
        """What turns searches into conditions, with the infotext's keys that there are now."""
        newest = int(self._files.read("SELECT coalesce(max(id), 0) FROM keys")[0][0])
        with self._lock:
            if self._keys[0] != newest:
                rows = self._files.read("SELECT id, folded FROM keys")
                self._keys = (newest, {str(row["folded"]): int(row["id"]) for row in rows})
            return Compiler(self._keys[1], self._is_rare)

    def _is_rare(self, phrase: str) -> bool:
        sql = "SELECT count(*) FROM (SELECT rowid FROM words WHERE words MATCH ? LIMIT ?)"
        return int(self._files.read(sql, (phrase, _RARE))[0][0]) < _RARE

    def conditions(self, q: str, looker: Looker) -> Conditions:
        """A search as a condition on rows `p` of pictures."""
        return self.compiler().compile(parse_search(q), looker.login, own_only=looker.own_only)

    def page(
        self,
        q: str = "",
        sort: Sort = "newest",
        *,
        stack: bool = False,
        offset: int = 0,
        cursor: str | None = None,
        limit: int = 100,
        looker: Looker = EVERYBODY,
    ) -> SearchPage:
        """`limit` pictures of a search from `offset` on, or from where an earlier page's `cursor` says."""
        found = self.conditions(q, looker)
        after, offset = _read_cursor(cursor, sort, offset)
        if stack:
            total, rows = self._stacks(found, sort, offset, limit)
        else:
            total, rows = self._ordered(found, sort, after, offset, limit)
        pictures = self.pictures([row for row, _ in rows], dict(rows))
        following = None
        if len(rows) == limit and limit:
            following = _cursor(sort, offset + limit) if stack else self._cursor_after(rows[-1][0], sort)
        return SearchPage(total, pictures, following, found.explained)

    def _ordered(
        self, found: Conditions, sort: Sort, after: Sequence[object] | None, offset: int, limit: int
    ) -> tuple[int, list[tuple[int, int]]]:
        columns, upwards = _ORDERS[sort]
        where, behind = found.where, tuple[object, ...]()
        if after is not None and len(after) == len(columns):
            marks = ", ".join("?" for _ in columns)
            where = f"{where} AND ({', '.join(columns)}) {'>' if upwards else '<'} ({marks})"
            behind = tuple(after)
        order = ", ".join(f"{column} {'ASC' if upwards else 'DESC'}" for column in columns)
        counted = f"SELECT count(*) FROM pictures AS p WHERE {found.where}"
        sql = f"SELECT p.id AS id, 1 AS stacked, ({counted}) AS total FROM pictures AS p WHERE {where}"
        sql += f" ORDER BY {order} LIMIT ? OFFSET ?"
        return self._counted(found, counted, sql, behind, limit, offset)

    def _stacks(self, found: Conditions, sort: Sort, offset: int, limit: int) -> tuple[int, list[tuple[int, int]]]:
        columns, upwards = _ORDERS[sort]
        # SQLite takes the other columns from the row that has the extreme.
        best = f"{'min' if upwards else 'max'}({columns[0]})"
        direction = "ASC" if upwards else "DESC"
        counted = f"SELECT count(DISTINCT p.stack) FROM pictures AS p WHERE {found.where}"
        sql = (
            f"SELECT p.id AS id, count(*) AS stacked, ({counted}) AS total, {best} AS best FROM pictures AS p"
            f" WHERE {found.where} GROUP BY p.stack ORDER BY best {direction}, p.id {direction} LIMIT ? OFFSET ?"
        )
        return self._counted(found, counted, sql, (), limit, offset)

    def _counted(
        self, found: Conditions, counted: str, sql: str, behind: tuple[object, ...], limit: int, offset: int
    ) -> tuple[int, list[tuple[int, int]]]:
        """How many there are, and a stretch of them: row and size of the stack. One statement, where it finds any."""
        values = (*found.set_values, *found.values, *found.values, *behind, limit, offset)
        rows = self._files.read(f"{found.sets}{sql}", values)
        if rows:
            return int(rows[0]["total"]), [(int(row["id"]), int(row["stacked"])) for row in rows]
        return int(self._read(found, counted)[0][0]), []

    def _read(self, found: Conditions, sql: str) -> Sequence[sqlite3.Row]:
        """The rows of a statement that names the condition once."""
        return self._files.read(f"{found.sets}{sql}", (*found.set_values, *found.values))

    def _cursor_after(self, row: int, sort: Sort) -> str:
        columns = ", ".join(_ORDERS[sort][0])
        return _cursor(sort, list(self._files.read(f"SELECT {columns} FROM pictures AS p WHERE p.id = ?", (row,))[0]))

    def pictures(self, rows: Sequence[int], stacked: Mapping[int, int] | None = None) -> list[IndexedPicture]:
        """The pictures of these rows in their order; rows that are gone are left out."""
        found: dict[int, sqlite3.Row] = {}
        for part in _parts(rows):
            marks = ", ".join("?" for _ in part)
            found |= {int(row["id"]): row for row in self._files.read(f"{_COLUMNS} WHERE p.id IN ({marks})", part)}
        tags = self._tags([bytes(row["content"]) for row in found.values()])
        counts = stacked or {}
        return [
            _picture(found[row], tags.get(bytes(found[row]["content"]), ()), counts.get(row, 1))
            for row in rows
            if row in found
        ]

    def _tags(self, contents: Sequence[bytes]) -> Mapping[bytes, tuple[str, ...]]:
        tags: dict[bytes, tuple[str, ...]] = {}
        for part in _parts(contents):
            marks = ", ".join("?" for _ in part)
            sql = f"SELECT content, tag FROM marks.tags WHERE content IN ({marks}) ORDER BY folded"
            for row in self._files.read(sql, part):
                content = bytes(row["content"])
                tags[content] = (*tags.get(content, ()), str(row["tag"]))
        return tags

    def timeline(self, q: str = "", looker: Looker = EVERYBODY) -> list[tuple[str, int]]:
        """Days with the number of their pictures, newest first."""
        found = self.conditions(q, looker)
        sql = f"SELECT p.day, count(*) FROM pictures AS p WHERE {found.where} GROUP BY p.day ORDER BY p.day DESC"
        return [(_iso(int(row[0])), int(row[1])) for row in self._read(found, sql)]

    def facets(self, q: str = "", looker: Looker = EVERYBODY) -> Facets:
        """Folders, models, tags and boards of a search's pictures. Without a search, empty folders and boards too."""
        found = self.conditions(q, looker)
        where = found.where
        per_folder = {
            int(row[0]): int(row[1])
            for row in self._read(
                found, f"SELECT p.folder, count(*) FROM pictures AS p WHERE {where} GROUP BY p.folder"
            )
        }
        folders = [
            Counted(self._files.id_of(int(row["id"])), str(row["name"]), per_folder.get(int(row["id"]), 0))
            for row in self._files.read("SELECT id, name FROM folders ORDER BY name")
            if int(row["id"]) in per_folder or not q.strip()
        ]
        models = self._read(
            found,
            f"SELECT v.text, n FROM (SELECT p.model AS model, count(*) AS n FROM pictures AS p WHERE {where}"
            " AND p.model IS NOT NULL GROUP BY p.model) JOIN fact_values AS v ON v.id = model ORDER BY n DESC, v.text",
        )
        tags = self._read(
            found,
            "SELECT min(t.tag), count(*) AS n FROM marks.tags AS t JOIN pictures AS p ON p.content = t.content"
            f" WHERE {where} GROUP BY t.folded ORDER BY n DESC, t.folded",
        )
        return Facets(
            folders,
            [Counted(str(row[0]), str(row[0]), int(row[1])) for row in models],
            [Counted(str(row[0]), str(row[0]), int(row[1])) for row in tags],
            self._boards(found),
        )

    def boards(self, looker: Looker = EVERYBODY) -> list[Counted]:
        """All boards with the number of their pictures, the oldest first."""
        return self._boards(self.conditions("", looker))

    def _boards(self, found: Conditions) -> list[Counted]:
        rows = self._read(
            found,
            "SELECT b.id, b.name, (SELECT count(*) FROM marks.board_pictures AS c JOIN pictures AS p"
            f" ON p.content = c.content WHERE c.board = b.id AND {found.where}) AS n FROM marks.boards AS b"
            " ORDER BY b.created",
        )
        return [Counted(str(row[0]), str(row[1]), int(row[2])) for row in rows]

    def trashed(self, looker: Looker = EVERYBODY) -> list[IndexedPicture]:
        """Everything in the trash."""
        found = self.conditions("in:trash", looker)
        rows = self._read(found, f"SELECT p.id FROM pictures AS p WHERE {found.where}")
        return self.pictures([int(row["id"]) for row in rows])

    def folder(self, folder_id: str) -> Path | None:
        """Where the folder of this id lies."""
        row = self._files.row_of(folder_id)
        found = self._files.read("SELECT path FROM folders WHERE id = ?", (row,))
        return Path(os.fsdecode(found[0]["path"])) if found else None


def _picture(row: sqlite3.Row, tags: tuple[str, ...], stacked: int) -> IndexedPicture:
    folder = Path(os.fsdecode(row["folder_path"]))
    home = folder / (str(row["name"]) if row["raw"] is None else os.fsdecode(row["raw"]))
    return IndexedPicture(
        row=int(row["id"]),
        folder=str(row["folder_name"]),
        folder_row=int(row["folder"]),
        name=str(row["name"]),
        path=Path(str(row["trash"])) if row["trash"] else home,
        home=home,
        width=int(row["width"]),
        height=int(row["height"]),
        size=int(row["bytes"]),
        mtime_ns=int(row["mtime_ns"]),
        created=float(row["created"]),
        rating=int(row["rating"] or 0),
        favourite=bool(row["favourite"]),
        tags=tags,
        stack=stacked,
        stack_key=f"{int(row['stack']):x}",
        trashed=row["state"] == State.TRASHED,
        program=str(row["program"]),
        content=bytes(row["content"]),
        owner=None if row["owner"] is None else str(row["owner"]),
        prompts=None if row["prompts"] is None else int(row["prompts"]),
    )


def _parts(values: Sequence[One]) -> Iterable[Sequence[One]]:
    return (values[start : start + MANY] for start in range(0, len(values), MANY))


def _iso(day: int) -> str:
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def _cursor(sort: Sort, place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps([sort, place]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None, sort: Sort, offset: int) -> tuple[list[object] | None, int]:
    """Behind which picture the page begins, or from which offset; a cursor of another sort counts as none."""
    if not cursor:
        return None, offset
    try:
        made_for, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        return None, offset
    if made_for != sort:
        return None, offset
    if isinstance(place, list):
        return ([one for one in place if isinstance(one, int | float | str)]), 0
    return None, place if isinstance(place, int) and 0 <= place < 10**9 else 0
