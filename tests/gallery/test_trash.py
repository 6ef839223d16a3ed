"""The trash by itself: whoever looks into it while a file comes or goes leaves that file alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from modules.gallery.index import trash as module
from modules.gallery.index.roots import TRASH, Roots
from modules.gallery.index.trash import Trash


def test_who_looks_between_the_halves_of_a_move_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trash = Trash(Roots([tmp_path]))
    picture = tmp_path / "fox.png"
    picture.write_bytes(b"a fox")

    def in_halves(old: Path, new: Path) -> None:
        new.hardlink_to(old)
        looking = threading.Thread(target=lambda: list(trash.contents(tmp_path / TRASH)))
        looking.start()
        looking.join(0.3)
        old.unlink()
        lookers.append(looking)

    lookers: list[threading.Thread] = []
    monkeypatch.setattr(module, "move_unless_taken", in_halves)
    trashed = trash.put(picture)
    lookers.pop().join(10)
    (found,) = trash.contents(trashed.parent)
    assert (found.path, found.home) == (trashed, picture)
    assert trash.restore(trashed, picture) == picture
    lookers.pop().join(10)
    assert picture.read_bytes() == b"a fox"
    assert list(trash.contents(trashed.parent)) == []
