"""A gallery for the kill tests: indexes, trashes, restores, moves and renames at random until it is killed.

`python -m tests.gallery.kill_gallery DATA SEED` prints a line when it has begun, and pauses a moment between the halves
of what it does, so that kills fall where they hurt. What it writes of its own is noted in `written.txt` first.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from modules.files import atomic, write_atomic
from modules.gallery.index.service import PictureIndex
from modules.settings import Flags, OptionStore, Paths
from tests.gallery.pictures import infotext, write_picture


def slow_halves() -> None:
    """Time for a kill between the two halves of each rename."""
    real = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        time.sleep(random.uniform(0, 0.01))
        real(self, missing_ok)
        time.sleep(random.uniform(0, 0.01))

    vars(atomic)["Path"].unlink = unlink


def one_change(index: PictureIndex, data: Path, number: int) -> None:
    pictures = list(index.search.page(limit=500).pictures)
    chosen = random.sample(pictures, min(len(pictures), 3))
    match random.choice(["add", "trash", "restore", "move", "rename", "read"]):
        case "add":
            with tempfile.TemporaryDirectory() as folder:
                text = infotext(f"picture {number}", seed=random.getrandbits(40))
                made = write_picture(Path(folder) / "x.png", text).read_bytes()
            place = (
                data / "outputs" / random.choice(["txt2img-images", "extras-images"]) / f"{random.getrandbits(40)}.png"
            )
            write_atomic(place, made)
            with (data / "written.txt").open("a") as log:
                log.write(hashlib.sha256(made).hexdigest() + "\n")
            index.saved(place)
        case "trash":
            index.actions.trash(chosen)
        case "restore":
            index.actions.restore(index.search.page("in:trash", limit=3).pictures)
        case "move":
            folders = [one.id for one in index.search.facets().folders]
            index.actions.move(chosen, random.choice(folders))
        case "rename":
            index.actions.rename(chosen, "[seed]-[basename]"[: random.choice([6, 17])])
        case "read":
            index._scanner.look(full=True)


def main(data: Path, seed: int) -> None:
    random.seed(seed)
    slow_halves()
    paths = Paths.from_flags(Flags(data_dir=data))
    index = PictureIndex(paths, OptionStore(paths.config_file))
    index.start()
    os.write(1, b"begun\n")
    number = 0
    while True:
        number += 1
        one_change(index, data, number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
