"""Small copies for the page."""

import os
from pathlib import Path

import pytest
from PIL import Image

from modules.gallery import Thumbnails
from modules.pictures import PictureError


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "RGB"), ("a.png", "RGBA"), ("a.jpg", "RGB"), ("a.webp", "RGB"), ("a.gif", "P")]
)
def test_a_small_copy_is_made_once(tmp_path: Path, name: str, mode: str) -> None:
    picture = tmp_path / name
    Image.new(mode, (1024, 512)).save(picture)
    thumbnails = Thumbnails(tmp_path / "cache", 128)
    small = thumbnails.of(picture)
    with Image.open(small) as image:
        assert (image.format, image.size) == ("WEBP", (128, 64))
    before = small.stat().st_mtime_ns
    assert thumbnails.of(picture) == small and small.stat().st_mtime_ns == before


def test_a_changed_picture_gets_a_new_one(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 64)).save(picture)
    thumbnails = Thumbnails(tmp_path / "cache")
    first = thumbnails.of(picture)
    os.utime(picture, (1, 1))
    assert thumbnails.of(picture) != first


def test_a_small_picture_is_not_enlarged(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGB", (20, 10)).save(picture)
    with Image.open(Thumbnails(tmp_path / "cache").of(picture)) as image:
        assert image.size == (20, 10)


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    for name in ("a.png", "gone.png"):
        with pytest.raises(PictureError, match="can't be read"):
            Thumbnails(tmp_path / "cache").of(tmp_path / name)
    assert not list(tmp_path.glob("cache/**/*.tmp"))


def test_the_oldest_go(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "cache")
    for number in range(5):
        picture = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8)).save(picture)
        os.utime(thumbnails.of(picture), (number, number))
    assert thumbnails.prune(3) == 2
    assert thumbnails.path(tmp_path / "4.png").exists() and not thumbnails.path(tmp_path / "1.png").exists()
