"""Save and Zip: copies under their own names, one row per click, archives."""

import csv
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modules.files import SaveError
from modules.gallery import SavedCopies
from modules.gallery.log_csv import COLUMNS, append_row
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import encode_picture, read_metadata

NOW = datetime(2026, 11, 21, 21, 30, 5)
INFOTEXT = (
    "a cat, (big:1.2)\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, "
    "Seed: 5, Size: 64x32, Model hash: 0123456789, Model: anime, Version: v1.10.1"
)


@pytest.fixture
def store(paths: Any, options: Any) -> SavedCopies:
    return SavedCopies(paths, options)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    made = []
    for seed in (5, 6):
        data, _ = encode_picture(
            Image.new("RGB", (64, 32)), ImageFileOptions(), INFOTEXT.replace("Seed: 5", f"Seed: {seed}")
        )
        made.append(tmp_path / f"0000{seed}-{seed}.png")
        made[-1].write_bytes(data)
    return made


def rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_copies_have_names_of_their_own_and_all_their_bytes(
    store: SavedCopies, pictures: list[Path], tmp_path: Path
) -> None:
    copies = store.save(pictures, NOW)
    assert [copy.relative_to(tmp_path).as_posix() for copy in copies] == [
        "log/images/00000-5-a cat, (big_1.2).png",
        "log/images/00001-6-a cat, (big_1.2).png",
    ]
    assert [copy.read_bytes() for copy in copies] == [picture.read_bytes() for picture in pictures]
    assert store.save(pictures[:1], NOW)[0].name.startswith("00002-5")


def test_subfolders_for_the_save_button(store: SavedCopies, options: Any, pictures: list[Path], tmp_path: Path) -> None:
    options.update({"use_save_to_dirs_for_ui": True})
    assert store.save(pictures[:1], NOW)[0] == tmp_path / "log/images/2026-11-21/00000-5.png"


def test_one_row_for_each_click(store: SavedCopies, pictures: list[Path], tmp_path: Path) -> None:
    store.save(pictures, NOW)
    store.save(pictures[1:], NOW)
    row = ["a cat, (big:1.2)", "5", "64", "32", "Euler a", "7", "20", "00000-5-a cat, (big_1.2).png", "dog", "anime"]
    assert rows(tmp_path / "log/images/log.csv") == [
        list(COLUMNS),
        [*row, "0123456789"],
        [row[0], "6", *row[2:7], "00002-6-a cat, (big_1.2).png", *row[8:], "0123456789"],
    ]


def test_no_log_when_it_is_switched_off(store: SavedCopies, options: Any, pictures: list[Path], tmp_path: Path) -> None:
    options.update({"save_write_log_csv": False})
    store.save(pictures, NOW)
    assert not (tmp_path / "log/images/log.csv").exists()


def test_older_logs_get_the_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        'prompt,seed,width,height,sampler,cfgs,steps,filename,negative_prompt\n"a, b",1,2,3,E,7,20,x.png,n\n'
    )
    append_row(path, {"prompt": "line\nbreak", "seed": 9, "sd_model_hash": "ff"})
    assert rows(path) == [
        list(COLUMNS),
        ["a, b", "1", "2", "3", "E", "7", "20", "x.png", "n", "", ""],
        ["line\nbreak", "9", "", "", "", "", "", "", "", "", "ff"],
    ]


def test_columns_of_others_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("mine,prompt\nx,old\n")
    append_row(path, {"prompt": "new"})
    assert rows(path)[0][:3] == ["mine", "prompt", "seed"]
    assert [row[:2] for row in rows(path)[1:]] == [["x", "old"], ["", "new"]]


def test_an_old_log_in_another_encoding_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for data in ("prompt,seed\n猫,1\n".encode("utf-16"), "prompt,seed\n猫".encode() + b"\x85,1\n"):
        path.write_bytes(data)
        append_row(path, {"prompt": "字", "seed": 2})
        assert [row[0].rstrip("…") for row in rows(path)[1:]] == ["猫", "字"]


def test_a_table_of_something_else_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("model,price\nA,1\n")
    with pytest.raises(SaveError, match="none of this log's columns"):
        append_row(path, {"prompt": "x"})
    assert path.read_text() == "model,price\nA,1\n"


def test_a_row_after_one_that_was_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    append_row(path, {"prompt": "one"})
    path.write_bytes(path.read_bytes() + b"half")
    append_row(path, {"prompt": "two"})
    assert [row[0] for row in rows(path)[1:]] == ["one", "half", "two"]


def test_a_megabyte_prompt_in_an_old_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("prompt\n" + "x" * 1_000_000 + "\n")
    append_row(path, {"prompt": "y" * 1_000_000})
    assert [len(row[0]) for row in rows(path)] == [6, 1_000_000, 1_000_000]


def test_an_archive_of_the_files_as_they_are(store: SavedCopies, pictures: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other" / pictures[0].name
    other.parent.mkdir()
    other.write_bytes(pictures[0].read_bytes())
    archive = store.zip([*pictures, other], NOW)
    assert archive == tmp_path / "log/images/20261121213005_[anime]_5-5.zip"
    with zipfile.ZipFile(archive) as file:
        assert file.namelist() == ["00005-5.png", "00006-6.png", "00005-5-1.png"]
        assert file.read("00006-6.png") == pictures[1].read_bytes()
        assert file.testzip() is None
    assert store.zip(pictures[:1], NOW).name == "20261121213005_[anime]_5.zip"
    assert store.zip(pictures[:1], NOW).name == "20261121213005_[anime]_5-1.zip"


def test_what_cannot_be_kept_is_said(store: SavedCopies, tmp_path: Path) -> None:
    with pytest.raises(SaveError, match="no picture to put into an archive"):
        store.zip([], NOW)
    assert store.save([], NOW) == ()
    for keep in (store.save, store.zip):
        with pytest.raises(SaveError, match=r"^gone\.png can't be read"):
            keep([tmp_path / "gone.png"], NOW)


def test_a_picture_without_infotext_can_be_kept(store: SavedCopies, tmp_path: Path) -> None:
    path = tmp_path / "plain.jpg"
    Image.new("RGB", (8, 8)).save(path)
    (copy,) = store.save([path], NOW)
    assert copy.name == "00000-0-.jpg"
    assert read_metadata(copy).infotext == ""
