"""The trash by itself: whoever looks into it while a file comes or goes leaves that file alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from modules.files import move_to_own_name
from modules.gallery.index import trash as module
from modules.gallery.index.errors import GalleryError
from modules.gallery.index.roots import TRASH, Roots
from modules.gallery.index.trash import Trash


def test_who_looks_between_the_halves_of_a_move_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trash = Trash(Roots([tmp_path]))
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"a fox")
    trashed = trash.put(picture)
    (found,) = trash.contents(trashed.parent)
    assert (found.path, found.home) == (trashed, picture)

    def in_halves(old: Path, new: Path) -> None:
        new.hardlink_to(old)
        looking = threading.Thread(target=lambda: list(trash.contents(tmp_path / TRASH)))
        looking.start()
        looking.join(0.3)
        old.unlink()
        lookers.append(looking)

    lookers: list[threading.Thread] = []
    monkeypatch.setattr(module, "move_unless_taken", in_halves)
    assert trash.restore(trashed, picture) == picture
    lookers.pop().join(10)
    assert picture.read_bytes() == b"a fox"
    assert list(trash.contents(trashed.parent)) == []


def test_another_server_that_looks_between_the_halves_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both once took one of the two names away, and the file was gone."""
    trash, others = Trash(Roots([tmp_path])), Trash(Roots([tmp_path]))
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"a fox")

    def looked_at(old: Path, new: Path) -> None:
        new.hardlink_to(old)
        list(others.contents(tmp_path / TRASH))
        old.unlink()

    trashed = trash.put(picture)
    monkeypatch.setattr(module, "move_unless_taken", looked_at)
    with pytest.raises(GalleryError, match="brought back"):
        trash.restore(trashed, picture)
    assert picture.read_bytes() == b"a fox"
    assert list(trash.contents(trashed.parent)) == []


def test_another_server_that_looks_at_a_note_of_this_moment_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trash, others = Trash(Roots([tmp_path])), Trash(Roots([tmp_path]))
    picture = tmp_path / "deep" / "fox.png"
    picture.parent.mkdir()
    picture.write_bytes(b"a fox")
    real = move_to_own_name

    def looked_at(old: Path, new: Path) -> None:
        assert list(others.contents(tmp_path / TRASH)) == []
        real(old, new)

    monkeypatch.setattr(module, "move_to_own_name", looked_at)
    trash.put(picture)
    (found,) = others.contents(tmp_path / TRASH)
    assert found.home == picture
