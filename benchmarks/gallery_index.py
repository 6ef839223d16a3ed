"""The gallery's index at 1,000, 10,000 and 100,000 pictures: reading headers, searching, the first page, bytes on disk.

    python -m benchmarks.gallery_index --pictures 1000 10000 100000 --files 1000
    python -m benchmarks.gallery_index --pictures 100000 --meanings 768

Reading is measured over real PNG files of 512² with infotext, in the process that the server reads with, by its CPU
seconds: one core's worth. Searches are measured over rows that are written as the scanner writes them, four
pictures to a prompt, whose words are as unequal as those of people: the first stands in every third prompt, the
hundredth in one of three hundred; with ratings and tags.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.gallery.index.reading import ReadPicture
from modules.gallery.index.reading_process import FileReader
from modules.gallery.index.service import PictureIndex
from modules.gallery.index.vectors import Vectors
from modules.gallery.index.writing import Entry, FileFacts
from modules.settings import Flags, OptionStore, Paths

SEARCHES = (
    "castle",
    "red castle -winter",
    '"masterpiece, best"',
    "model:anime sampler:euler",
    "steps:>=30 cfg:5..8",
    "date:2026-10",
    "rating:>=4",
    "tag:wall castle",
    "lora:pen size:>=1024",
    "has:hires",
    "城",
    "folder:2026-10-03",
    "seed:123456",
)
BATCH = 500
PER_PROMPT = 4
_WORDS = [
    f"{first} {second}".strip()
    for second in ("", "castle", "dragon", "portrait", "forest", "river", "猫", "tower", "sky", "lamp", "horse", "city")
    for first in ("red", "winter", "ink", "stone", "glass", "blue", "城", "gold", "old", "ruined", "tiny", "misty")
]
_WEIGHTS = [1 / (place + 2) for place in range(len(_WORDS))]
_MODELS = [f"anime {number}" for number in range(12)] + ["photo", "sketch"]
_QUALITY = "masterpiece, best quality, highly detailed"
_NEGATIVE = "lowres, bad anatomy, bad hands, text, error, cropped, worst quality, jpeg artifacts, signature"


@dataclass(frozen=True)
class Figures:
    """What was measured over one library; times in milliseconds of computing."""

    pictures: int
    size: int
    warm: float
    search: list[float]
    page: list[float]
    deep: list[float]
    stacked: list[float]
    sides: list[float]
    prompts: list[float]


def prompt_of(chance: random.Random) -> str:
    """About 200 characters, nearly always another text."""
    words = dict.fromkeys(chance.choices(_WORDS, _WEIGHTS, k=14))
    return f"{', '.join(words)}, {_QUALITY}, <lora:pen{chance.randrange(20)}:0.8>"


def facts_of(chance: random.Random) -> tuple[tuple[str, str], ...]:
    """The pairs of an infotext as this program writes them."""
    side = chance.choice((512, 768, 1024))
    facts = {
        "Steps": chance.choice((20, 25, 30, 40)),
        "Sampler": chance.choice(("Euler a", "DPM++ 2M", "DPM++ SDE")),
        "Schedule type": "Karras",
        "CFG scale": chance.choice((4, 5.5, 7, 9)),
        "Size": f"{side}x{side}",
        "Model": chance.choice(_MODELS),
        "Model hash": "0123456789",
        "Denoising strength": chance.choice((0.3, 0.4, 0.5, 0.7)),
        "Version": "v1.10.1-1-w0.2.0",
    }
    if chance.random() < 0.2:
        facts["Hires upscale"] = 2
    return (*((key, str(value)) for key, value in facts.items()), ("Lora", f"pen{chance.randrange(20)}"))


def entries(folder: int, numbers: Sequence[int], chance: random.Random) -> Iterator[Entry]:
    """Rows of one folder; each prompt has four pictures."""
    prompt, facts, stack = prompt_of(chance), facts_of(chance), chance.getrandbits(60)
    for number in numbers:
        if number % PER_PROMPT == 0:
            prompt, facts, stack = prompt_of(chance), facts_of(chance), chance.getrandbits(60)
        when = 1_760_000_000_000_000_000 + number * 10**12
        read = ReadPicture(
            content=f"{number:032x}",
            width=512,
            height=512 + 512 * (number % 3),
            prompt=prompt,
            negative=_NEGATIVE,
            facts=facts,
            seed=chance.getrandbits(32),
            stack=stack,
            program="Web UI",
        )
        yield Entry(folder, FileFacts(f"{number:05}-{read.seed}.png", when, 400_000 + number, f"1:{number:x}"), read)


def fill(index: PictureIndex, pictures: int, root: Path) -> None:
    """Rows of `pictures` pictures, in folders of 500, one in twenty with a rating or a tag."""
    chance = random.Random(1)
    for start in range(0, pictures, BATCH):
        folder = index._writer.folder(root / f"day{start // BATCH}", f"txt2img-images/day{start // BATCH}")
        index._writer.put(list(entries(folder, range(start, min(start + BATCH, pictures)), chance)))
    rated = [f"{number:032x}" for number in range(0, pictures, 20)]
    index._writer.tidy()
    index.marks.mark([bytes.fromhex(one) for one in rated], rating=4, add_tags=["wall"])


def timed(rounds: int, do: Callable[[int], object]) -> list[float]:
    """Milliseconds of computing of each of `rounds` calls: nothing here waits for a disk, and a busy machine for us."""
    taken = []
    for number in range(rounds):
        begun = time.process_time()
        do(number)
        taken.append(1000 * (time.process_time() - begun))
    return taken


def measure(pictures: int, rounds: int) -> Figures:
    """Fill an index and ask it."""
    with tempfile.TemporaryDirectory() as place:
        paths = Paths.from_flags(Flags(data_dir=Path(place)))
        index = PictureIndex(paths, OptionStore(paths.config_file))
        fill(index, pictures, paths.outputs_dir)
        search = index.search
        figures = Figures(
            pictures,
            sum(file.stat().st_size for file in Path(place).glob("gallery-index.db*")),
            timed(1, lambda number: search.warm())[0],
            timed(rounds, lambda number: search.page(SEARCHES[number % len(SEARCHES)])),
            timed(rounds, lambda number: search.page()),
            timed(rounds, lambda number: search.page(offset=max(0, pictures - 200 - number))),
            timed(rounds, lambda number: search.page(stack=True)),
            timed(rounds, lambda number: (search.facets(), search.timeline())),
            timed(rounds, lambda number: index.prompts.entries("castle")),
        )
        index.close()
    return figures


def measure_meanings(pictures: int, width: int, rounds: int) -> tuple[float, list[float], int]:
    """Searches by meaning over random vectors: milliseconds until all are in memory, of each search, bytes on disk."""
    chance = np.random.default_rng(3)
    with tempfile.TemporaryDirectory() as place:
        paths = Paths.from_flags(Flags(data_dir=Path(place)))
        index = PictureIndex(paths, OptionStore(paths.config_file))
        fill(index, pictures, paths.outputs_dir)
        index._files.read("PRAGMA wal_checkpoint(TRUNCATE)")
        before = sum(file.stat().st_size for file in Path(place).glob("gallery-index.db*"))
        with index._files.change() as write:
            for start in range(1, pictures + 1, BATCH):
                made = chance.standard_normal((min(BATCH, pictures + 1 - start), width), np.float32)
                made /= np.linalg.norm(made, axis=1, keepdims=True)
                write.executemany(
                    "INSERT INTO meanings (picture, encoder, vector) VALUES (?, 1, ?)",
                    [(start + row, vector.astype(np.float16).tobytes()) for row, vector in enumerate(made)],
                )
        index._files.read("PRAGMA wal_checkpoint(TRUNCATE)")
        found, store = index.search.found(""), Vectors(index._files)

        def search(_: int) -> object:
            wanted = chance.standard_normal(width, np.float32)
            return store.nearest(1, wanted / np.linalg.norm(wanted), found.library, found.mask, 200)

        first, searches = timed(1, search)[0], timed(rounds, search)
        size = sum(file.stat().st_size for file in Path(place).glob("gallery-index.db*")) - before
        index.close()
    return first, searches, size


def meanings_table(counts: Sequence[int], width: int, rounds: int) -> str:
    """The table of searches by meaning."""
    lines = [
        f"| Pictures of {width} numbers | Nearest, median / p95 ms | First ms | Memory MB | In the index MB |",
        "|---|---|---|---|---|",
    ]
    for count in counts:
        first, searches, size = measure_meanings(count, width, rounds)
        lines.append(
            f"| {count:,} | {statistics.median(searches):.1f} / {p95(searches):.1f} | {first:.0f} |"
            f" {count * (width + 12) / 1e6:.0f} | {size / 1e6:.0f} |"
        )
    return "\n".join(lines)


def write_files(folder: Path, files: int) -> list[Path]:
    """PNG files of 512² with infotext; the pixels are those of a few pictures."""
    chance, paths = random.Random(2), []
    noise = [np.random.default_rng(seed).integers(0, 256, (512, 512, 3), dtype=np.uint8) for seed in range(4)]
    for number in range(files):
        info = PngInfo()
        line = ", ".join(f"{key}: {value}" for key, value in facts_of(chance) if key != "Lora")
        text = f"{prompt_of(chance)}\nNegative prompt: {_NEGATIVE}\n{line}, Seed: {number}"
        info.add_text("parameters", text)
        paths.append(folder / f"{number:05}.png")
        Image.fromarray(noise[number % len(noise)]).save(paths[-1], pnginfo=info, compress_level=0)
    return paths


def read_files(files: int) -> tuple[float, float]:
    """Pictures a second by the CPU time of the process that reads, and by the clock."""
    with tempfile.TemporaryDirectory() as place:
        paths = write_files(Path(place), files)
        reader = FileReader()
        reader.read(paths[: max(30, files // 10)])
        assert reader.process_id is not None
        process = psutil.Process(reader.process_id)
        begun, cpu = time.perf_counter(), process.cpu_times()
        for start in range(0, files, 128):
            reader.read(paths[start : start + 128])
        now, wall = process.cpu_times(), time.perf_counter() - begun
        reader.close()
    return files / max(1e-3, now.user + now.system - cpu.user - cpu.system), files / wall


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 are below."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def table(counts: Sequence[int], files: int, rounds: int) -> str:
    """The tables of docs/performance.md."""
    by_cpu, by_clock = read_files(files)
    lines = [
        f"{files} PNG files of 512²: {by_cpu:.0f} headers a second of one core ({by_clock:.0f} by the clock)",
        "",
        "| Pictures | Search, median / p95 ms | First page ms | Last page ms | Stacked ms | Side bar ms | Prompts ms |"
        " Read into memory ms | Index MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in counts:
        one = measure(count, rounds)
        lines.append(
            f"| {count:,} | {statistics.median(one.search):.1f} / {p95(one.search):.1f} | {p95(one.page):.1f} |"
            f" {p95(one.deep):.1f} | {p95(one.stacked):.1f} | {p95(one.sides):.1f} | {p95(one.prompts):.1f} |"
            f" {one.warm:.0f} | {one.size / 1e6:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=130)
    parser.add_argument(
        "--meanings", type=int, default=0, help="measure searches by meaning, with so many numbers a vector"
    )
    given = parser.parse_args()
    if given.meanings:
        print(meanings_table(given.pictures, given.meanings, given.rounds))
        return
    print(table(given.pictures, given.files, given.rounds))


if __name__ == "__main__":
    main()
