"""Questions to the index: pages of pictures, days, folders, and what may be searched for."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np

from modules.gallery.index.conditions import Compiler, Found, Nearest
from modules.gallery.index.errors import MeaningError
from modules.gallery.index.library import Columns, Library
from modules.gallery.index.query import parse_search
from modules.gallery.index.records import Counted, Facets, IndexedPicture, Looker, SearchPage, Sort
from modules.gallery.index.roots import TRASH
from modules.gallery.index.store import MANY, GalleryFiles
from modules.gallery.index.writing import State, shown_name
from modules.parameters.infotext_values import printable

_COLUMNS: Final = (
    "SELECT p.*, f.name AS folder_name, f.path AS folder_path, m.rating, m.favourite FROM pictures AS p"
    " JOIN folders AS f ON f.id = p.folder LEFT JOIN marks.marks AS m ON m.content = p.content"
)
_UPWARDS: Final = frozenset({"oldest", "name"})
NumberedField = Literal["folder", "model", "program"]
EVERYBODY: Final = Looker()
One = TypeVar("One")


class Search:
    """Reads the index. Every method raises IndexFileError when a file can't be read."""

    def __init__(self, files: GalleryFiles) -> None:
        self._files = files
        self._library = Library(files)
        self._keys: tuple[int, Mapping[str, int]] = (-1, {})
        self._lock = threading.Lock()
        # Set by what searches by meaning, which is made of this.
        self.nearest: Nearest = _by_nothing

    def warm(self) -> bool:
        """Read what searches hold in memory, before somebody waits for it. There is no more to do then."""
        self._library.now()
        return False

    def compiler(self) -> Compiler:
        """What finds pictures, with the infotext's keys that there are now."""
        newest = int(self._files.read("SELECT coalesce(max(id), 0) FROM keys")[0][0])
        with self._lock:
            if self._keys[0] != newest:
                rows = self._files.read("SELECT id, folded FROM keys")
                self._keys = (newest, {str(row["folded"]): int(row["id"]) for row in rows})
            return Compiler(self._library, self._keys[1], self.nearest)

    def found(self, q: str, looker: Looker = EVERYBODY) -> Found:
        """All pictures of a search."""
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
        found = self.found(q, looker)
        order, keys = self._ordered(found, sort)
        ids, total, counts = found.library["id"], len(order), np.ones(len(order), np.int64)
        after, offset = _read_cursor(cursor, sort, offset)
        if stack:
            order, counts = _stacks(found, order)
            total = len(order)
        elif after is not None:
            order = order[self._behind(found, sort, order, keys, after)]
        part = order[offset : offset + limit]
        rows = [int(row) for row in ids[part]]
        stacked = dict(zip(rows, map(int, counts[offset : offset + limit]), strict=False))
        following = None
        if len(rows) == limit and limit:
            place = offset + limit if stack else list(astuple(self._place(found, sort, int(part[-1]), keys)))
            following = _cursor(sort, place)
        return SearchPage(total, self.pictures(rows, stacked), following, found.explained)

    def _ordered(self, found: Found, sort: Sort) -> tuple[np.ndarray, np.ndarray | None]:
        """The places of what was found in the order of `sort`, and what it sorts all rows by beside their time."""
        newest = found.newest()
        match sort:
            case "newest" if found.nearness is not None:
                keys = np.rint(found.nearness * 1e6).astype(np.int64)
            case "newest":
                return newest, None
            case "oldest":
                return newest[::-1], None
            case "name":
                keys = self._name_ranks(found)
                return newest[np.argsort(keys[newest], kind="stable")], keys
            case "rating":
                keys = self._ratings(found.library)
            case "size":
                keys = found.library["width"] * found.library["height"]
        return newest[np.argsort(-keys[newest], kind="stable")], keys

    def _name_ranks(self, found: Found) -> np.ndarray:
        """The place of each row's name among those of its state."""
        known = found.library.orders.get(("name", found.state))
        if known is None:
            ids = self._library.ids("SELECT id FROM pictures WHERE state = ? ORDER BY name, id", (found.state,))
            places, there = found.library.places(ids)
            known = np.zeros(len(found.library), np.int64)
            known[places[there]] = np.flatnonzero(there)
            found.library.orders["name", found.state] = known
        return known

    def _ratings(self, library: Columns) -> np.ndarray:
        rows = self._files.read("SELECT content, rating FROM marks.marks WHERE rating > 0")
        order, contents = library.by_content()
        ratings = np.zeros(len(library), np.int64)
        for rating in range(1, 6):
            rated = np.array([hash(row[0]) for row in rows if row[1] == rating], np.int64)
            ratings[order[np.isin(contents, rated, kind="sort")]] = rating
        return ratings

    def _behind(
        self, found: Found, sort: Sort, order: np.ndarray, keys: np.ndarray | None, after: _PageStart
    ) -> np.ndarray:
        """Which of the places in `order` come behind what a cursor names, which may be gone since."""
        if sort == "name" and keys is not None:
            sql = "SELECT count(*) FROM pictures WHERE state = ? AND (name, id) <= (?, ?)"
            return np.asarray(keys[order] >= int(self._files.read(sql, (found.state, after.name, after.row))[0][0]))
        times, ids = found.library["created"][order], found.library["id"][order]
        compare = np.greater if sort in _UPWARDS else np.less
        later = compare(times, after.created) | ((times == after.created) & compare(ids, after.row))
        if keys is None:
            return np.asarray(later)
        return np.asarray((keys[order] < after.key) | ((keys[order] == after.key) & later))

    def _place(self, found: Found, sort: Sort, place: int, keys: np.ndarray | None) -> _PageStart:
        row = int(found.library["id"][place])
        named = self._files.read("SELECT name FROM pictures WHERE id = ?", (row,)) if sort == "name" else ()
        key = 0 if keys is None else int(keys[place])
        return _PageStart(str(named[0][0]) if named else "", key, float(found.library["created"][place]), row)

    def pictures(self, rows: Sequence[int], stacked: Mapping[int, int] | None = None) -> list[IndexedPicture]:
        """The pictures of these rows in their order; rows that are gone are left out."""
        found: dict[int, sqlite3.Row] = {}
        for part in _parts(rows):
            rows_of = self._files.read(f"{_COLUMNS} WHERE p.id IN ({_marks(part)})", part)
            found |= {int(row["id"]): row for row in rows_of}
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
            sql = f"SELECT content, tag FROM marks.tags WHERE content IN ({_marks(part)}) ORDER BY folded"
            for row in self._files.read(sql, part):
                content = bytes(row["content"])
                tags[content] = (*tags.get(content, ()), str(row["tag"]))
        return tags

    def timeline(self, q: str = "", looker: Looker = EVERYBODY) -> list[tuple[str, int]]:
        """Days with the number of their pictures, newest first."""
        found = self.found(q, looker)
        days, counts = np.unique(found.library["day"][found.mask], return_counts=True)
        return [(_iso(int(day)), int(count)) for day, count in zip(days[::-1], counts[::-1], strict=True)]

    def facets(self, q: str = "", looker: Looker = EVERYBODY) -> Facets:
        """Folders, models, tags and boards of a search's pictures. Without a search, empty folders and boards too."""
        found = self.found(q, looker)
        per_folder = _counts(found, "folder")
        folders = [
            Counted(self._files.id_of(int(row["id"])), str(row["name"]), per_folder.get(int(row["id"]), 0))
            for row in self._files.read("SELECT id, name FROM folders ORDER BY name")
            if int(row["id"]) in per_folder or not q.strip()
        ]
        return Facets(folders, self._models(found), self._tag_counts(found), self._boards(found))

    def counted(self, field: NumberedField) -> list[tuple[str, int]]:
        """The names of a field's values with the number of their pictures, the most frequent first."""
        found = self.found("")
        counts = _counts(found, field)
        match field:
            case "folder":
                names = {int(row["id"]): str(row["name"]) for row in self._files.read("SELECT id, name FROM folders")}
            case "model":
                return [(one.name, one.count) for one in self._models(found)]
            case "program":
                names = {number: name for name, number in list(found.library.programs.items())}
        counted = [(names[value], count) for value, count in counts.items() if value in names]
        return sorted(counted, key=lambda one: (-one[1], one[0]))

    def _models(self, found: Found) -> list[Counted]:
        counts = _counts(found, "model")
        models = [
            Counted(str(row["text"]), str(row["text"]), counts[int(row["id"])])
            for part in _parts(list(counts))
            for row in self._files.read(f"SELECT id, text FROM fact_values WHERE id IN ({_marks(part)})", part)
        ]
        return sorted(models, key=lambda one: (-one.count, one.name))

    def _tag_counts(self, found: Found) -> list[Counted]:
        """The tags of what was found, each under the first of its spellings."""
        rows = self._files.read("SELECT content, folded, tag FROM marks.tags")
        counts, names = Counter[str](), dict[str, str]()
        for row, count in self._with_counts(found, rows):
            folded, tag = str(row["folded"]), str(row["tag"])
            counts[folded] += count
            names[folded] = min(tag, names.get(folded, tag))
        tags = sorted(counts, key=lambda folded: (-counts[folded], folded))
        return [Counted(names[folded], names[folded], counts[folded]) for folded in tags]

    def boards(self, looker: Looker = EVERYBODY) -> list[Counted]:
        """All boards with the number of their pictures, the oldest first."""
        return self._boards(self.found("", looker))

    def _boards(self, found: Found) -> list[Counted]:
        counts = Counter[str]()
        for row, count in self._with_counts(found, self._files.read("SELECT content, board FROM marks.board_pictures")):
            counts[str(row["board"])] += count
        boards = self._files.read("SELECT id, name FROM marks.boards ORDER BY created")
        return [Counted(str(row["id"]), str(row["name"]), counts[str(row["id"])]) for row in boards]

    def _with_counts(self, found: Found, rows: Sequence[sqlite3.Row]) -> Iterator[tuple[sqlite3.Row, int]]:
        """Those of `rows` whose first column is the content of a picture that was found, and of how many."""
        order, contents = found.library.by_content()
        wanted = np.fromiter((hash(row[0]) for row in rows), np.int64, len(rows))
        before = np.concatenate([[0], np.cumsum(found.mask[order])])
        counts = before[np.searchsorted(contents, wanted, "right")] - before[np.searchsorted(contents, wanted)]
        return ((row, int(count)) for row, count in zip(rows, counts, strict=True) if count)

    def trashed(self, looker: Looker = EVERYBODY) -> list[int]:
        """The rows of everything in the trash."""
        found = self.found("in:trash", looker)
        return [int(row) for row in found.library["id"][found.mask]]

    def owner_of(self, path: Path) -> str | None:
        """The login that made the picture at this path, in the trash too; None where nobody is known."""
        if path.parent.name == TRASH:
            rows = self._files.read("SELECT owner FROM pictures WHERE trash = ?", (str(path),))
        else:
            sql = (
                "SELECT p.owner FROM pictures AS p JOIN folders AS f ON f.id = p.folder"
                " WHERE f.path = ? AND p.name = ? AND p.trash = ''"
            )
            rows = self._files.read(sql, (os.fsencode(path.parent), shown_name(path.name)))
        return None if not rows or rows[0]["owner"] is None else str(rows[0]["owner"])

    def folder(self, folder_id: str) -> Path | None:
        """Where the folder of this id lies."""
        row = self._files.row_of(folder_id)
        found = self._files.read("SELECT path FROM folders WHERE id = ?", (row,))
        return Path(os.fsdecode(found[0]["path"])) if found else None


def _by_nothing(texts: Sequence[str], library: Columns, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, str | None]:
    raise MeaningError("Searching by meaning is not ready yet: try again in a moment.")


@dataclass(frozen=True, slots=True)
class _PageStart:
    """Behind what a page begins: the `key` of the sort, and what tells pictures of the same key apart."""

    name: str
    key: int
    created: float
    row: int


def _stacks(found: Found, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first place of each stack in `order`, and how many each has."""
    _, first, counts = np.unique(found.library["stack"][order], return_index=True, return_counts=True)
    by_place = np.argsort(first)
    return order[first[by_place]], counts[by_place]


def _counts(found: Found, column: str) -> dict[int, int]:
    """How many pictures were found for each value of a column but 0."""
    counts = np.bincount(found.library[column][found.mask])
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts) if value}


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" for _ in values)


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


def _read_cursor(cursor: str | None, sort: Sort, offset: int) -> tuple[_PageStart | None, int]:
    """Behind which picture the page begins, or from which offset; a cursor of another sort counts as none."""
    if not cursor:
        return None, offset
    try:
        made_for, place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if made_for != sort:
            return None, offset
        if isinstance(place, int):
            return None, place if 0 <= place < 10**9 else 0
        name, key, created, row = place
        return _PageStart(printable(str(name)), int(key), float(created), int(row) % 2**63), 0
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None, offset
