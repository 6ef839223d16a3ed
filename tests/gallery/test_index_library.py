"""What searches hold in memory is what the index says, however it was changed, and by whom."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest

from modules.gallery.index import library as library_module
from modules.gallery.index.library import Library
from modules.gallery.index.reading import ReadPicture
from modules.gallery.index.records import Sort
from modules.gallery.index.service import PictureIndex
from modules.gallery.index.writing import Entry, FileFacts, State
from modules.settings import OptionStore, Paths


@pytest.fixture
def index(paths: Paths, options: OptionStore) -> Iterator[PictureIndex]:
    made = PictureIndex(paths, options)
    yield made
    made.close()


def put(index: PictureIndex, *numbers: int, prompt: str = "a castle", folder: str = "a", trash: str = "") -> list[int]:
    """Rows without files; the time of two neighbours is the same."""
    row = index._writer.folder(index.roots.folders[0] / folder, folder)
    return index._writer.put(
        [
            Entry(
                row,
                FileFacts(f"{number % 7}-{number}.png", 10**18 + number // 2, 100, f"1:{number:x}"),
                ReadPicture(
                    content=f"{number:032x}",
                    width=64 + number % 3,
                    height=64,
                    prompt=prompt,
                    facts=(("Steps", str(number % 5)),),
                    seed=number,
                    stack=number // 4,
                    program="Web UI",
                ),
                trash,
            )
            for number in numbers
        ]
    )


def same_as_read_anew(index: PictureIndex) -> None:
    index.search.warm()
    held, anew = index.search._library.now(), Library(index._files).now()
    assert all(np.array_equal(held[name], anew[name]) for name in anew.columns)
    assert np.array_equal(held.newest, anew.newest)
    assert held.texts.folded == anew.texts.folded


def test_what_changed_is_read_apart(index: PictureIndex) -> None:
    chance = random.Random(3)
    put(index, *range(40))
    whole = index.search._library.now()
    for step in range(60):
        rows = [int(row) for row in index.search._library.now()["id"]]
        some = chance.sample(rows, 3)
        match step % 6:
            case 0:
                put(index, 40 + step, prompt=f"a castle and {step} cats")
            case 1:
                put(index, *range(step, step + 3), prompt="another")
            case 2:
                index._writer.remove(some)
            case 3:
                index._writer.set_state(some, chance.choice([State.THERE, State.PERHAPS_GONE]))
            case 4:
                # One row takes the place of another, which no statement of ours names.
                folder = index._writer.folder(index.roots.folders[0] / "b", "b")
                for row in some:
                    index._writer.move(row, folder, FileFacts("one.png", 0, 100, "1:0"))
                index._writer.set_trash(some[-1], f"/trash/{step}.png")
                index._writer.set_trash(some[-1], "")
            case 5:
                put(index, step, prompt="gone soon", folder="c")
                index._writer.remove([int(row) for row in index.search.found("gone").library["id"][-1:]])
                index._writer.tidy()
        same_as_read_anew(index)
    assert index.search._library.now().seq > whole.seq


def test_an_id_that_names_another_text_later_finds_that_one(index: PictureIndex) -> None:
    (row,) = put(index, 1, prompt="an old lighthouse")
    assert index.search.page("lighthouse").total == 1
    index._writer.remove([row])
    index._writer.tidy()
    put(index, 2, prompt="a young river")
    assert index.search.page("lighthouse").total == 0
    assert index.search.page("ri").total == 1


def test_two_servers_on_one_folder_see_what_the_other_writes(
    index: PictureIndex, paths: Paths, options: OptionStore
) -> None:
    other = PictureIndex(paths, options)
    put(index, 1)
    assert other.search.page("castle").total == 1
    put(other, 2)
    assert index.search.page("castle").total == 2
    index.marks.mark([bytes.fromhex(f"{1:032x}")], rating=5)
    assert [picture.rating for picture in other.search.page(sort="rating").pictures] == [5, 0]
    other.close()


def test_an_index_that_is_begun_anew_holds_nothing_of_the_old_one(index: PictureIndex) -> None:
    put(index, *range(5))
    assert index.search.page().total == 5
    index._files.begin_anew("a test")
    index._writer.forget()
    assert index.search.page().total == 0
    put(index, 9)
    assert index.search.page("castle").total == 1


@pytest.mark.parametrize("q", ["castle", "ca", "CASTLE", "城", "-castle", "negative:castle"])
def test_texts_that_are_too_many_are_compared_by_the_index(
    index: PictureIndex, monkeypatch: pytest.MonkeyPatch, q: str
) -> None:
    monkeypatch.setattr(library_module, "RARE", 1)
    put(index, *range(6))
    put(index, *range(6, 9), prompt="城")
    held = index.search.page(q).total
    monkeypatch.setattr(library_module, "MOST_SIGNS", 0)
    index.search._library._now = None
    assert index.search._library.now().texts.folded is None
    assert index.search.page(q).total == held


@pytest.mark.parametrize("sort", get_args(Sort))
def test_pages_go_on_behind_a_picture_that_is_gone(index: PictureIndex, sort: Sort) -> None:
    put(index, *range(60))
    index.marks.mark([bytes.fromhex(f"{number:032x}") for number in range(0, 60, 4)], rating=3)
    every = [picture.row for picture in index.search.page("castle", sort, limit=100).pictures]
    seen, cursor = list[int](), None
    for _ in range(7):
        page = index.search.page("castle", sort, cursor=cursor, limit=10)
        seen += [picture.row for picture in page.pictures]
        # Behind this one the next page begins.
        index._writer.remove([seen[-1]])
        cursor = page.cursor
    assert seen == every
    assert cursor is None
