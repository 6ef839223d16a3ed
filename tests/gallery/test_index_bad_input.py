"""Folders as they are at their worst: very full, full of traps, away for a while, not to be written, used by two."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.gallery.index import pass_over
from modules.gallery.index.errors import GalleryError
from modules.gallery.index.listing import Listing, listing
from modules.gallery.index.service import PictureIndex
from modules.settings import OptionStore, Paths
from tests.amounts import amount
from tests.gallery.pictures import infotext, write_picture

MANY = amount(1_000, 10_000)


@pytest.fixture
def index(paths: Paths, options: OptionStore) -> Iterator[PictureIndex]:
    made = PictureIndex(paths, options)
    yield made
    made.close()


def begun(index: PictureIndex) -> PictureIndex:
    index.start()
    assert index.wait_until_settled(120)
    return index


def names(index: PictureIndex, q: str = "") -> list[str]:
    return [picture.name for picture in index.search.page(q, "name").pictures]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + chunk(b"IEND", b"")


def test_thousands_in_one_folder_are_indexed_once_and_trashed_together(index: PictureIndex, outputs: Path) -> None:
    pattern = write_picture(outputs / "0.png", infotext("a crowd")).read_bytes()
    for number in range(1, MANY):
        # Behind the picture's end, where nobody reads: no two are copies.
        (outputs / f"{number}.png").write_bytes(pattern + number.to_bytes(4))
    begun(index)
    assert index.search.page("crowd").total == MANY
    before = time.process_time()
    assert index.wait_until_settled()
    # A pass that finds nothing new reads no file again.
    assert time.process_time() - before < 0.5 + MANY / 5000
    some = index.search.page("crowd", limit=300).pictures
    index.marks.mark([picture.content for picture in some], rating=5)
    assert len(index.actions.trash(some).done) == 300
    assert index.search.page("crowd").total == MANY - 300


def test_the_trash_of_many_is_emptied_within_a_bound(
    index: PictureIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modules.gallery.index.trash_limits.MOST_AT_ONCE", 3)
    monkeypatch.setattr("modules.gallery.index.trash_limits._PART", 2)
    for number in range(9):
        write_picture(outputs / f"{number}.png", infotext("too much", seed=number))
    begun(index)
    index.actions.trash(index.search.page().pictures)
    trash = outputs.parent / ".gallery-trash"
    outcome, later = index.empty_trash()
    assert (len(outcome.done), later) == (3, 6)
    # Taken back before its turn came.
    restored = index.search.page("in:trash", limit=1).pictures
    back = index.actions.restore(restored).done
    deadline = time.monotonic() + 20
    while index.search.trashed():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(trash.iterdir()) == []
    assert len(list(outputs.iterdir())) == len(back)
    assert index.wait_until_settled()
    assert index.search.page().total == len(back)


def test_bombs_are_found_by_their_header_and_never_opened(index: PictureIndex, outputs: Path) -> None:
    (outputs / "wide.png").write_bytes(png(60_000, 60_000))
    text = zlib.compress(bytes(300_000_000), 9)
    (outputs / "words.png").write_bytes(png(8, 8, chunk(b"zTXt", b"parameters\0\0" + text)))
    write_picture(outputs / "good.png", infotext("good"))
    begun(index)
    assert "good.png" in names(index)
    assert names(index, "good") == ["good.png"]
    for picture in index.search.page().pictures:
        if picture.name == "wide.png":
            with pytest.raises(GalleryError, match=r"wide\.png"):
                index.thumbnail(picture)
    while index.similar.more(now=True):
        pass
    assert names(index, "good") == ["good.png"]


@pytest.mark.parametrize("reason", [errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.EACCES])
def test_a_share_that_fails_and_comes_back_keeps_rows_and_ratings(
    index: PictureIndex, outputs: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    for name in ("a", "b"):
        write_picture(outputs / "share" / "deep" / f"{name}.png", infotext(name))
    begun(index)
    before = index.search.page("", "name").pictures
    index.marks.mark([picture.content for picture in before], rating=4, add_tags=["kept"])
    real = listing

    def away(folder: Path) -> Listing:
        if "share" in folder.parts:
            raise OSError(reason, os.strerror(reason), str(folder))
        return real(folder)

    monkeypatch.setattr(pass_over, "listing", away)
    assert index.wait_until_settled()
    assert names(index) == ["a.png", "b.png"]
    monkeypatch.setattr(pass_over, "listing", real)
    assert index.wait_until_settled()
    after = index.search.page("rating:4 tag:kept", "name").pictures
    assert [picture.row for picture in after] == [picture.row for picture in before]


def test_a_trash_that_can_not_be_made_is_said_and_the_picture_stays(index: PictureIndex, outputs: Path) -> None:
    picture = write_picture(outputs / "a.png", infotext("stays"))
    (outputs.parent / ".gallery-trash").write_text("a file where the folder should be")
    begun(index)
    found = index.search.page().pictures
    outcome = index.actions.trash(found)
    assert outcome.done == []
    assert outcome.refused[found[0].row].startswith("a.png ")
    assert picture.is_file() and names(index) == ["a.png"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_shown_and_not_changed(index: PictureIndex, outputs: Path) -> None:
    picture = write_picture(outputs / "shelf" / "a.png", infotext("read only"))
    picture.parent.chmod(0o500)
    try:
        begun(index)
        found = index.search.page("read").pictures
        index.marks.mark([found[0].content], rating=3)
        for outcome in (index.actions.trash(found), index.actions.rename(found, "[seed]")):
            assert outcome.done == [] and len(outcome.refused) == 1
        assert picture.is_file() and names(index, "rating:3") == ["a.png"]
    finally:
        picture.parent.chmod(0o700)


def test_two_servers_on_one_folder_lose_nothing(
    index: PictureIndex, paths: Paths, options: OptionStore, outputs: Path
) -> None:
    for number in range(60):
        write_picture(outputs / f"{number}.png", infotext("shared", seed=number))
    other = PictureIndex(paths, options)
    begun(index)
    begun(other)
    assert index.search.page("shared").total == other.search.page("shared").total == 60
    # Both throw the same pictures away at the same time.
    found = index.search.page("shared", limit=30).pictures
    outcomes = []
    threads = [
        threading.Thread(target=lambda one=one: outcomes.append(one.actions.trash(found))) for one in (index, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row for outcome in outcomes for row in outcome.done) == sorted(picture.row for picture in found)
    for one in (index, other):
        assert one.wait_until_settled()
        assert (one.search.page().total, one.search.page("in:trash").total) == (30, 30)
    assert len(list((outputs.parent / ".gallery-trash").glob("*.png"))) == 30
    index.actions.restore(index.search.page("in:trash").pictures)
    assert other.wait_until_settled()
    assert other.search.page("shared").total == 60
    other.close()
