"""Pictures by meaning: looked at in idle time, compared, and kept as the files are. The encoder here knows colours."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modules.gallery.index import vectors
from modules.gallery.index.errors import MeaningError
from modules.gallery.index.service import PictureIndex
from modules.settings import OptionStore, Paths

COLOURS = {"red": (250, 10, 10), "pink": (250, 120, 130), "green": (10, 250, 10), "blue": (10, 10, 250)}


def vector_of(colour: Sequence[float]) -> bytes:
    values = np.asarray(colour, np.float32) - 40
    return (values / np.linalg.norm(values)).astype(np.float32).tobytes()


class Colours:
    """Sees the first pixel, and reads names of colours."""

    def __init__(self) -> None:
        self.name, self.busy, self.most = "colours:1", False, 99
        self.seen: list[str] = []

    def encoder(self) -> str:
        return self.name

    def see(self, pictures: Sequence[Path]) -> Sequence[bytes] | None:
        if self.busy:
            return None
        found = list[bytes]()
        for path in pictures[: self.most]:
            self.seen.append(path.stem)
            with Image.open(path) as image:
                pixel = image.convert("RGB").getpixel((0, 0))
            assert isinstance(pixel, tuple)
            found.append(b"" if path.stem.startswith("odd") else vector_of(pixel))
        return found

    def read(self, text: str) -> bytes:
        if text not in COLOURS:
            raise MeaningError("Only colours are read here.")
        return vector_of(COLOURS[text])


def paint(path: Path, colour: str, when: float) -> None:
    Image.new("RGB", (32, 32), COLOURS[colour]).save(path)
    os.utime(path, (when, when))


@pytest.fixture
def eyes() -> Colours:
    return Colours()


@pytest.fixture
def open_index(paths: Paths, options: OptionStore, outputs: Path) -> Iterator[Callable[[], PictureIndex]]:
    opened = list[PictureIndex]()
    for number, colour in enumerate(COLOURS):
        paint(outputs / f"{colour}.png", colour, 1_790_000_000 + number)

    def make() -> PictureIndex:
        index = PictureIndex(paths, options)
        opened.append(index)
        index.start()
        assert index.wait_until_settled()
        return index

    yield make
    for index in opened:
        index.close()


@pytest.fixture
def index(open_index: Callable[[], PictureIndex], eyes: Colours) -> PictureIndex:
    index = open_index()
    index.meaning.open(eyes)
    return index


def look_at_all(index: PictureIndex) -> None:
    while index.meaning.more() == 0:
        pass


def names(index: PictureIndex, q: str) -> list[str]:
    return [Path(one.name).stem for one in index.search.page(q).pictures]


def similar(index: PictureIndex, name: str) -> list[tuple[str, float]]:
    found = index.meaning.to(index.search.page(f"name:{name}").pictures[0])
    return [(Path(one.name).stem, distance) for one, distance in found]


def test_the_nearest_come_first_in_both_directions(index: PictureIndex, eyes: Colours) -> None:
    look_at_all(index)
    assert eyes.seen == ["blue", "green", "pink", "red"]
    assert names(index, "like:red")[:2] == ["red", "pink"]
    found = similar(index, "red")
    assert found[0][0] == "pink" and [distance for _, distance in found] == sorted(distance for _, distance in found)
    assert found[0][1] == pytest.approx(0.248, abs=0.01) and found[-1][1] > 1
    # Other conditions come first, both texts count, and another order stays.
    assert names(index, "like:red -name:red")[0] == "pink"
    assert names(index, "like:red like:blue")[:2] in (
        ["red", "blue"],
        ["blue", "red"],
        ["pink", "blue"],
        ["blue", "pink"],
    )
    assert [Path(one.name).stem for one in index.search.page("like:red", "oldest").pictures] == list(COLOURS)
    pages, cursor = list[str](), None
    while True:
        page = index.search.page("like:green", limit=1, cursor=cursor)
        pages += [Path(one.name).stem for one in page.pictures]
        if (cursor := page.cursor) is None:
            break
    assert pages == names(index, "like:green") and pages[0] == "green" and len(pages) == 4


@pytest.mark.parametrize(
    ("q", "sentence"),
    [
        ("-like:red", "like: finds what is nearest, which has no opposite"),
        ("like:", "like: says nothing yet"),
        ("like:house", "Only colours are read here."),
    ],
)
def test_what_can_not_be_meant_is_said_and_the_rest_counts(index: PictureIndex, q: str, sentence: str) -> None:
    look_at_all(index)
    page = index.search.page(f"{q} name:red")
    assert page.explained is not None and page.explained.startswith(sentence)
    assert [one.name for one in page.pictures] == ["red.png"]


def test_without_eyes_it_says_so(open_index: Callable[[], PictureIndex]) -> None:
    index = open_index()
    assert index.search.page("like:red").explained == "Searching by meaning is not ready yet: try again in a moment."
    with pytest.raises(MeaningError, match="not ready"):
        similar(index, "red")


def test_what_nobody_has_looked_at_is_counted_and_looked_at_when_somebody_asks(
    open_index: Callable[[], PictureIndex], eyes: Colours
) -> None:
    index = open_index()
    eyes.busy = True
    index.meaning.open(eyes)
    page = index.search.page("like:red")
    assert (page.total, page.explained) == (0, "4 pictures have not been looked at yet.")
    with pytest.raises(MeaningError, match=r"red.png has not been looked at yet, and the engine has something else"):
        similar(index, "red")
    eyes.busy = False
    assert similar(index, "red") == [] and eyes.seen == ["red"]
    index.meaning.start()
    similar(index, "red")
    deadline = time.monotonic() + 30
    while index.search.page("like:red").explained and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sorted(eyes.seen) == sorted(COLOURS) and index.search.page("like:red").total == 4


def test_pictures_are_looked_at_once_and_again_when_they_or_the_encoder_change(
    index: PictureIndex, eyes: Colours, outputs: Path
) -> None:
    look_at_all(index)
    look_at_all(index)
    assert len(eyes.seen) == 4 and names(index, "like:green")[0] == "green"
    paint(outputs / "green.png", "blue", 1_790_000_100)
    assert index.wait_until_settled()
    look_at_all(index)
    assert eyes.seen[4:] == ["green"] and set(names(index, "like:blue")[:2]) == {"green", "blue"}
    (outputs / "blue.png").rename(outputs / "moved.png")
    (outputs / "pink.png").unlink()
    assert index.wait_until_settled()
    assert eyes.seen[5:] == [] and set(names(index, "like:blue")[:2]) == {"green", "moved"}
    assert "pink" not in names(index, "like:red")
    eyes.name = "colours:2"
    assert index.search.page("like:red").explained == "3 pictures have not been looked at yet."
    look_at_all(index)
    assert len(eyes.seen) == 8 and index.search.page("like:red").total == 3


def test_what_was_seen_is_kept_whatever_happens_next(
    open_index: Callable[[], PictureIndex], eyes: Colours, outputs: Path
) -> None:
    """A job that comes between two pictures, a picture that can't be opened, and a server that goes away."""
    paint(outputs / "odd.png", "red", 1_790_000_050)
    index = open_index()
    eyes.most = 2
    index.meaning.open(eyes)
    while len(set(eyes.seen)) < 3:
        index.meaning.more()
    assert sorted(eyes.seen) == sorted(set(eyes.seen))
    index.close()
    again = open_index()
    eyes.most = 99
    again.meaning.open(eyes)
    look_at_all(again)
    assert sorted(eyes.seen) == sorted([*COLOURS, "odd"])
    with pytest.raises(MeaningError, match=r"odd.png can't be opened, so what it shows is not known"):
        similar(again, "odd")
    assert "odd" not in names(again, "like:red")


def test_many_vectors_are_compared_in_time_and_within_bounds(
    index: PictureIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compared by one byte a number, the order is still that of the whole vectors."""
    rng = np.random.default_rng(0)
    look_at_all(index)
    files = index.meaning._files
    made = rng.standard_normal((3000, 64)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    with files.change() as write, closing(write.cursor()) as cursor:
        template = dict(cursor.execute("SELECT * FROM pictures LIMIT 1").fetchone())
        columns = [name for name in template if name != "id"]
        marks = ", ".join("?" * len(columns))
        for number, vector in enumerate(made):
            row = template | {"name": f"made{number}.png", "inode": f"x{number}", "state": 0}
            sql = f"INSERT INTO pictures ({', '.join(columns)}) VALUES ({marks})"
            picture = cursor.execute(sql, [row[name] for name in columns]).lastrowid
            values = (picture, 77, vector.astype(np.float16).tobytes())
            cursor.execute("INSERT INTO meanings (picture, encoder, vector) VALUES (?, ?, ?)", values)
    library = index.search.found("").library
    first = int(library["id"][-3000])
    mask = library["id"] >= first
    wanted = rng.standard_normal(64).astype(np.float32)
    wanted /= np.linalg.norm(wanted)
    store = vectors.Vectors(files)
    places, cosines = store.nearest(77, wanted, library, mask, 20)
    order = np.argsort(-(made.astype(np.float16).astype(np.float32) @ wanted), kind="stable")[:20]
    assert list(library["id"][places] - first) == list(order)
    assert np.all(np.diff(cosines) <= 0) and cosines[0] == pytest.approx(float(made[order[0]] @ wanted), abs=1e-3)
    # Where they are too many, those that came last are there.
    monkeypatch.setattr(vectors, "MOST_BYTES", 64 * 1000)
    monkeypatch.setattr(vectors, "_READ_AT_ONCE", 300)
    small = vectors.Vectors(files)
    assert 500 <= small.known(77, 64, library, mask) <= 1000
    places, _ = small.nearest(77, made[2999], library, mask, 1)
    assert int(library["id"][places[0]]) - first == 2999
