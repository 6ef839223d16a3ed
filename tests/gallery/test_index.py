"""The index beside its folders: what is new, moved, edited, gone, damaged or away, and what outlives the index."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.gallery.index import pass_over, scanner
from modules.gallery.index.errors import GalleryError, IndexFileError
from modules.gallery.index.listing import Listing, listing
from modules.gallery.index.reading_process import FileReader
from modules.gallery.index.service import PictureIndex
from modules.gallery.index.writing import IndexWriter
from modules.settings import REPOSITORY, OptionStore, Paths
from tests.gallery.pictures import infotext, write_picture

Open = Callable[[], PictureIndex]


@pytest.fixture
def opened(paths: Paths, options: OptionStore) -> Iterator[Open]:
    indexes: list[PictureIndex] = []

    def make() -> PictureIndex:
        for index in indexes:
            index.close()
        indexes[:] = [PictureIndex(paths, options)]
        indexes[0].start()
        assert indexes[0].wait_until_settled()
        return indexes[0]

    yield make
    for index in indexes:
        index.close()


def names(index: PictureIndex, q: str = "", **how: Any) -> list[str]:
    return [picture.name for picture in index.search.page(q, "name", **how).pictures]


def settle(index: PictureIndex) -> None:
    assert index.wait_until_settled()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_changes_behind_its_back_is_noticed(outputs: Path, opened: Open) -> None:
    write_picture(outputs / "a.png", infotext("first"))
    write_picture(outputs / "b.png", infotext("second"))
    index = opened()
    ids = {picture.name: picture.row for picture in index.search.page().pictures}
    index.marks.mark([picture.content for picture in index.search.page().pictures], rating=3, add_tags=["x"])
    # Moved, renamed, edited, deleted, new.
    (outputs / "sub").mkdir()
    (outputs / "a.png").rename(outputs / "sub" / "c.png")
    settle(index)
    (moved,) = index.search.page("first").pictures
    assert (moved.row, moved.folder, moved.rating) == (ids["a.png"], "txt2img-images/sub", 3)
    write_picture(outputs / "b.png", infotext("edited, longer"))
    settle(index)
    (edited,) = index.search.page("edited").pictures
    # What was said of it before it was edited holds still.
    assert (edited.row, edited.rating, edited.tags) == (ids["b.png"], 3, ("x",))
    (outputs / "sub").rename(outputs / "other")
    write_picture(outputs / "d.png", infotext("third"))
    settle(index)
    assert index.search.page("first").pictures[0].row == ids["a.png"]
    assert names(index) == ["b.png", "c.png", "d.png"]
    shutil.rmtree(outputs / "other")
    (outputs / "d.png").unlink()
    settle(index)
    assert names(index) == ["b.png"]
    assert [one.name for one in index.search.facets().folders] == ["outputs", "txt2img-images"]


def test_a_light_pass_lists_only_what_changed(outputs: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write_picture(outputs / "sub" / "a.png", infotext("first"))
    for folder in (outputs, old.parent, outputs.parent):
        os.utime(folder, (1_700_000_000, 1_700_000_000))
    index = opened()
    listed: list[Path] = []

    def noted(folder: Path) -> Listing:
        listed.append(folder)
        return listing(folder)

    monkeypatch.setattr(pass_over, "listing", noted)
    write_picture(outputs / "new" / "b.png", infotext("second"))
    index._scanner._pass(full=False)  # in this thread
    assert names(index) == ["a.png", "b.png"]
    assert sorted(folder for folder in listed if folder.is_dir()) == [outputs, outputs / "new"]


def test_marks_outlive_an_index_that_is_made_again(outputs: Path, opened: Open, paths: Paths) -> None:
    write_picture(outputs / "a.png", infotext("first"))
    index = opened()
    (picture,) = index.search.page().pictures
    old_id = index.id_of(picture.row)
    index.marks.mark([picture.content], rating=5, favourite=True, add_tags=["Ink"])
    board = index.marks.add_board("Wall")
    index.marks.pin(board.id, [picture.content])
    trashed = write_picture(outputs / "t.png", infotext("thrown away"))
    settle(index)
    index.actions.trash(index.search.page("thrown").pictures)
    assert not trashed.exists()
    index.close()
    for file in paths.data_dir.glob("gallery-index.db*"):
        file.unlink()
    index = opened()
    (picture,) = index.search.page("rating:5 tag:ink board:wall is:favourite").pictures
    assert names(index, "in:trash") == ["t.png"]
    # An id of the earlier index names no other picture in this one.
    with pytest.raises(GalleryError, match="There is no picture"):
        index.find(old_id)
    index.actions.restore(index.search.page("in:trash").pictures)
    assert trashed.is_file()


def test_a_damaged_index_is_set_aside_and_made_again(outputs: Path, opened: Open, paths: Paths) -> None:
    for number in range(40):
        write_picture(outputs / f"{number}.png", infotext(f"picture {number}"))
    index = opened()
    index.close()
    data = bytearray(paths.gallery_index.read_bytes())
    data[4096:] = b"\x5a" * (len(data) - 4096)
    paths.gallery_index.write_bytes(data)
    for suffix in ("-wal", "-shm"):
        paths.gallery_index.with_name(paths.gallery_index.name + suffix).unlink(missing_ok=True)
    index = opened()
    settle(index)
    assert len(names(index)) == 40
    assert any("set aside" in notice for notice in index.notices)
    assert list(paths.data_dir.glob("gallery-index.db.corrupt-*"))


def test_damage_that_a_search_meets_is_repaired_while_it_runs(outputs: Path, opened: Open) -> None:
    write_picture(outputs / "a.png", infotext("first"))
    index = opened()
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert isinstance(index._files._error(error), IndexFileError)
    settle(index)
    assert names(index) == ["a.png"]
    assert any("set aside" in notice for notice in index.notices)


def test_files_that_are_no_pictures_are_counted_and_harm_nothing(outputs: Path, opened: Open) -> None:
    good = write_picture(outputs / "good.png", infotext("a good one")).read_bytes()
    (outputs / "empty.png").touch()
    (outputs / "cut.png").write_bytes(good[:20])
    (outputs / "words.jpg").write_text("no picture")
    (outputs / "notes.txt").write_text("not looked at")
    (outputs / ".saving-0123456789abcdef.tmp").write_bytes(good)
    (outputs / ".hidden").mkdir()
    write_picture(outputs / ".hidden" / "h.png")
    os.mkfifo(outputs / "pipe.png")
    raw = os.fsencode(outputs) + b"/latin\xe9.png"
    Path(os.fsdecode(raw)).write_bytes(good)
    index = opened()
    assert index.indexing().skipped == 3
    assert names(index) == ["good.png", "latin\\udce9.png"]
    (odd,) = index.search.page("name:latin").pictures
    assert index.servable(odd).read_bytes() == good
    outcome = index.actions.trash([odd])
    assert "its name is no text" in outcome.refused[odd.row]
    # Written to its end since.
    (outputs / "empty.png").write_bytes(good)
    settle(index)
    assert (index.indexing().skipped, "empty.png" in names(index)) == (2, True)


def test_links_lead_nowhere(outputs: Path, opened: Open, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write_picture(outside / "secret.png", infotext("secret"))
    write_picture(outputs / "a.png")
    (outputs / "circle").symlink_to(outputs)
    (outputs / "away").symlink_to(outside)
    (outputs / "file.png").symlink_to(outside / "secret.png")
    assert names(opened()) == ["a.png"]


def test_a_folder_that_is_away_is_no_deletion(paths: Paths, options: OptionStore, opened: Open, tmp_path: Path) -> None:
    share = tmp_path / "share"
    write_picture(share / "a.png", infotext("on the share"))
    options.update({"gallery_folders": [str(share)]})
    index = opened()
    assert names(index) == ["a.png"]
    share.rename(tmp_path / "unplugged")
    settle(index)
    assert names(index) == ["a.png"]
    # A mount point without its disk is an empty folder of another device.
    share.mkdir()
    with index._files.change() as write:
        write.execute("UPDATE folders SET device = device + 1")
    settle(index)
    assert names(index) == ["a.png"]
    with index._files.change() as write:
        write.execute("UPDATE folders SET device = ?", (share.stat().st_dev,))
    settle(index)
    assert names(index) == []


def test_a_folder_of_the_settings_that_holds_the_data_folder_is_left_out(
    paths: Paths, options: OptionStore, opened: Open
) -> None:
    write_picture(paths.data_dir / "private.png")
    options.update({"gallery_folders": [str(paths.data_dir.parent), str(paths.data_dir)]})
    assert names(opened()) == []


def test_it_goes_on_where_it_was_stopped(outputs: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        write_picture(outputs / f"{number:02}.png", infotext(f"picture {number}"))
    read: list[int] = []
    real = FileReader.read

    def counted(self: FileReader, files: Any) -> Any:
        read.append(len(files))
        if sum(read) > 20:
            raise pass_over.PassStopped
        return real(self, files)

    monkeypatch.setattr(pass_over, "BATCH", 10)
    monkeypatch.setattr(FileReader, "read", counted)
    index = opened()
    index.close()
    monkeypatch.setattr(FileReader, "read", real)
    assert len(names(opened())) == 30
    done: list[int] = []

    def noted(self: FileReader, files: Any) -> Any:
        done.append(len(files))
        return real(self, files)

    monkeypatch.setattr(FileReader, "read", noted)
    settle(opened())
    assert done == []


def test_a_file_that_kills_the_reader_is_left_out(
    outputs: Path, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_picture(tmp_path / f"{number}.png", infotext(str(number))) for number in range(30)]
    script = tmp_path / "reader.py"
    script.write_text(
        "import os, sys\nfrom modules.gallery.index import reading_process as r\nreal = r.read_picture\n"
        "r.read_picture = lambda path: os._exit(1) if path.name == '7.png' else real(path)\nr.main()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    reader = FileReader((sys.executable, str(script)))
    read = reader.read(paths)
    reader.close()
    assert [one.prompt for one in read if not one.problem] == [str(number) for number in range(30) if number != 7]
    assert read[7].problem == "7.png can't be read: it ends the program that reads it."


def test_saving_does_not_wait_for_the_index(outputs: Path, opened: Open) -> None:
    index = opened()
    picture = write_picture(outputs / "now.png", infotext("at once"))
    # While somebody else writes for a long time, a note is taken all the same.
    with index._files.change():
        index.saved(picture, "ann")
    settle(index)
    (found,) = index.search.page("once").pictures
    assert found.owner == "ann"


def test_a_full_disk_is_said_in_one_sentence(outputs: Path, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    index = opened()
    write_picture(outputs / "a.png", infotext("waits for room"))
    put = IndexWriter.put

    def full(self: IndexWriter, entries: Any) -> Any:
        with self._files.change() as write:
            # SQLite says "full" itself, of a file that may grow no further.
            pages = write.execute("PRAGMA page_count").fetchone()[0]
            write.execute(f"PRAGMA max_page_count = {pages}")
            write.execute("CREATE TABLE filling (x)")
            for _ in range(1000):
                write.execute("INSERT INTO filling VALUES (randomblob(4000))")

    monkeypatch.setattr(IndexWriter, "put", full)
    monkeypatch.setattr(scanner, "_AFTER_TROUBLE", 0.1)
    settle(index)
    until(lambda: index.indexing().problem is not None)
    problem = index.indexing().problem or ""
    assert problem.startswith("The index of pictures ")
    assert problem.endswith("database or disk is full. Make room on its disk and try again.")
    with index._files.change() as write:
        write.execute("PRAGMA max_page_count = 1000000")
    monkeypatch.setattr(IndexWriter, "put", put)
    until(lambda: index.indexing().problem is None)
    assert names(index) == ["a.png"]


def test_the_trash_is_emptied_by_age_and_by_size(outputs: Path, opened: Open, options: OptionStore) -> None:
    for name in ("old", "new", "newest"):
        write_picture(outputs / f"{name}.png", infotext(name), size=(700, 700))
    index = opened()
    for name in ("old", "new", "newest"):
        index.actions.trash(index.search.page(f"name:{name}.png").pictures)
    with index._files.change() as write:
        write.execute("UPDATE pictures SET trashed = trashed - 40 * 86400 WHERE name = 'old.png'")
        write.execute("UPDATE pictures SET bytes = 600000 WHERE state = 2")
    index._limits.forget()
    index._limits.enforce()
    assert names(index, "in:trash") == ["new.png", "newest.png"]
    options.update({"gallery_trash_megabytes": 1})
    index._limits.forget()
    index._limits.enforce()
    assert names(index, "in:trash") == ["newest.png"]
    assert len(list((outputs.parent / ".gallery-trash").glob("*.png"))) == 1


def test_a_file_that_a_kill_left_in_both_places_is_back(outputs: Path, opened: Open) -> None:
    picture = write_picture(outputs / "a.png", infotext("both"))
    index = opened()
    index.actions.trash(index.search.page().pictures)
    (there,) = (outputs.parent / ".gallery-trash").glob("*.png")
    picture.hardlink_to(there)
    # And one whose rename never came.
    write_picture(outputs / "b.png", infotext("stays"))
    (there.parent / "0123456789abcdef.json").write_text('{"home": "txt2img-images/b.png", "when": 1}')
    (there.parent / "aaaaaaaaaaaaaaaa.json").write_text('{"home": "../../outside.png", "when": 1}')
    write_picture(there.parent / "aaaaaaaaaaaaaaaa.png", infotext("from nowhere"))
    settle(index)
    assert (names(index), names(index, "in:trash")) == (["a.png", "b.png"], ["outside.png"])
    assert picture.is_file() and not there.exists()
    assert not (there.parent / "0123456789abcdef.json").exists()
    index.actions.restore(index.search.page("in:trash nowhere").pictures)
    assert (outputs.parent / "outside.png").is_file()
