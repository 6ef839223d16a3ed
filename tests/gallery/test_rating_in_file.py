"""Ratings that stand in the pictures' files: taken over, and written where the setting says so."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from modules.gallery.index.service import PictureIndex
from modules.pictures.metadata import read_metadata
from modules.pictures.xmp_rating import with_rating
from modules.settings import OptionStore, Paths
from tests.gallery.pictures import infotext, write_picture


@pytest.fixture
def index(paths: Paths, options: OptionStore) -> Iterator[PictureIndex]:
    made = PictureIndex(paths, options)
    made.start()
    assert made.wait_until_settled()
    yield made
    made.close()


def rate(index: PictureIndex, rating: int, q: str = "") -> dict[int, str]:
    index.marks.mark([picture.content for picture in index.search.page(q).pictures], rating=rating)
    return index.actions.write_ratings(index.search.page(q).pictures).refused


def test_a_rating_that_a_file_brings_along_counts_until_somebody_rates_here(index: PictureIndex, outputs: Path) -> None:
    picture = write_picture(outputs / "a.png", infotext("a fox"))
    picture.write_bytes(with_rating(picture.read_bytes(), 3))
    assert index.wait_until_settled()
    assert [one.name for one in index.search.page("rating:3").pictures] == ["a.png"]
    rate(index, 0)
    picture.touch()
    assert index.wait_until_settled()
    assert index.search.page("rating:0").total == 1
    # Nothing was written into it: the setting is off.
    assert read_metadata(picture).rating == 3


def test_a_rating_is_written_into_the_file_and_everything_else_stays(
    index: PictureIndex, outputs: Path, options: OptionStore
) -> None:
    picture = write_picture(outputs / "a.png", infotext("a fox"), when=1_790_000_000)
    copy = outputs / "copy.png"
    copy.write_bytes(picture.read_bytes())
    before = picture.read_bytes()
    options.update({"gallery_rating_in_file": True})
    assert index.wait_until_settled()
    (found,) = index.search.page("name:a.png").pictures
    index.marks.mark([found.content], favourite=True, add_tags=["red"])
    board = index.marks.add_board("wall")
    index.marks.pin(board.id, [found.content])
    index.marks.mark([found.content], rating=5)
    (found,) = index.search.page("name:a.png").pictures
    assert index.actions.write_ratings([found]).refused == {}
    assert read_metadata(picture).rating == 5
    assert (picture.stat().st_mtime, read_metadata(picture).infotext) == (1_790_000_000, infotext("a fox"))
    for _ in range(2):
        (after,) = index.search.page("name:a.png").pictures
        assert (after.row, after.rating, after.favourite, after.tags) == (found.row, 5, True, ("red",))
        assert [one.name for one in index.marks.boards_of(after.content)] == ["wall"]
        assert index.wait_until_settled()
    # The copy is another picture now, which has the marks that were made while it was one.
    assert (index.search.page("rating:5 tag:red").total, copy.read_bytes()) == (2, before)
    rate(index, 0, "name:a.png")
    assert read_metadata(picture).rating == 0
    assert Image.open(io.BytesIO(before)).tobytes() == Image.open(picture).tobytes()


def test_a_file_that_can_not_take_it_keeps_its_bytes_and_the_rating_beside(
    index: PictureIndex, outputs: Path, options: OptionStore
) -> None:
    Image.new("RGB", (8, 8)).save(outputs / "a.bmp")
    before = (outputs / "a.bmp").read_bytes()
    options.update({"gallery_rating_in_file": True})
    assert index.wait_until_settled()
    (refused,) = rate(index, 4).values()
    assert refused == "a.bmp keeps its file as it is: only PNG, JPEG and WebP files hold a rating."
    assert (index.search.page("rating:4").total, (outputs / "a.bmp").read_bytes()) == (1, before)
