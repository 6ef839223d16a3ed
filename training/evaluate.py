"""Score an exported checkpoint without any other network: `python -m training.evaluate`.

Writes a sheet of 64 fixed prompts, half of them compositions that training never saw, and the figures.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from training.cases import Case, score_cases, sheet_cases
from training.features import border_colour, nearest
from training.judge import Judge, nearest_colour
from training.run import OUTPUT, ROOT
from training.sampling import Checkpoint, generate, load
from training.tokens import DEFAULT_FILE
from training.vocabulary import OBJECTS

SHEET_COLUMNS = 8
CELL = 128
LINE = 15
BATCH = 16


def pictures_of(checkpoint: Checkpoint, cases: list[Case], cfg: float, steps: int) -> list[np.ndarray]:
    """The picture of every case."""
    pictures: list[np.ndarray] = []
    for start in range(0, len(cases), BATCH):
        part = cases[start : start + BATCH]
        batch = generate(checkpoint, [c.prompt for c in part], [c.seed for c in part], cfg=cfg, steps=steps)
        pictures.extend(batch)
    return pictures


def figures(judge: Judge, cases: list[Case], pictures: list[np.ndarray]) -> dict[str, dict[str, float]]:
    """Share of right verdicts in percent and their number, for seen and unseen combinations."""
    found: dict[str, list[bool]] = {}
    for case, picture in zip(cases, pictures, strict=True):
        for name, right in judge.judge(case, picture).items():
            found.setdefault(f"{name}, {'unseen' if case.unseen else 'seen'}", []).append(right)
    return {name: {"percent": round(100 * float(np.mean(v)), 1), "count": len(v)} for name, v in sorted(found.items())}


def draw_sheet(cases: list[Case], pictures: list[np.ndarray]) -> Image.Image:
    """All pictures with their prompts below; unseen combinations have a star."""
    rows = -(-len(cases) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * (CELL + 4), rows * (CELL + 2 * LINE + 4)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (case, picture) in enumerate(zip(cases, pictures, strict=True)):
        x, y = i % SHEET_COLUMNS * (CELL + 4), i // SHEET_COLUMNS * (CELL + 2 * LINE + 4)
        sheet.paste(Image.fromarray(picture), (x, y))
        words = ("* " if case.unseen else "") + case.prompt
        cut = words.rfind(" ", 0, 23) if len(words) > 22 else len(words)
        draw.text((x, y + CELL), words[:cut], fill="black")
        draw.text((x, y + CELL + LINE - 3), words[cut:].strip(), fill="black")
    return sheet


def _percent(verdicts: list[bool]) -> float:
    return round(100 * float(np.mean(verdicts)), 1)


def _objects_found(checkpoint: Checkpoint, judge: Judge, cfg: float) -> float:
    things = OBJECTS[::3]
    pictures = generate(checkpoint, [f"a {thing.name}" for thing in things], list(range(len(things))), cfg=cfg)
    shown = zip(things, pictures, strict=True)
    return _percent([thing.name in nearest(picture, judge.objects)[:5] for thing, picture in shown])


def _white_borders(pictures: np.ndarray) -> float:
    return _percent([nearest_colour(border_colour(picture)) == "white" for picture in pictures])


def steering(checkpoint: Checkpoint, judge: Judge) -> dict[str, float]:
    """Whether guidance, the negative prompt and the seed matter, in numbers."""
    cats, seeds = ["a cat"] * 16, list(range(16))
    plain = generate(checkpoint, cats, seeds)
    steered = generate(checkpoint, cats, seeds, negative="white background")
    return {
        "objects in top-5 at CFG 1, %": _objects_found(checkpoint, judge, 1.0),
        "objects in top-5 at CFG 5, %": _objects_found(checkpoint, judge, 5.0),
        "'a cat': white backgrounds, %": _white_borders(plain),
        "'a cat', negative prompt 'white background': white backgrounds, %": _white_borders(steered),
        "'a cat': mean difference of two seeds, of 255": round(
            float(np.abs(np.diff(plain.astype(float), axis=0)).mean()), 1
        ),
    }


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return round(time.perf_counter() - start, 2)


def main() -> None:
    """Draw the sheet, score the larger set, write both."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=OUTPUT)
    parser.add_argument("--vocabulary", type=Path, default=DEFAULT_FILE)
    parser.add_argument("--sheet", type=Path, default=ROOT / "docs/demo-model-sheet.png")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs/demo-model-figures.json")
    parser.add_argument("--cfg", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheet-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint, judge, cases = load(options.checkpoint, options.vocabulary), Judge(), sheet_cases()
    pictures = pictures_of(checkpoint, cases, options.cfg, options.steps)
    options.sheet.parent.mkdir(parents=True, exist_ok=True)
    draw_sheet(cases, pictures).save(options.sheet, optimize=True)
    result: dict[str, object] = {"settings": f"Euler, {options.steps} steps, CFG {options.cfg:g}"}
    result["sheet"] = figures(judge, cases, pictures)
    if not options.sheet_only:
        many = score_cases()
        result["larger set"] = figures(judge, many, pictures_of(checkpoint, many, options.cfg, options.steps))
        result["steering"] = steering(checkpoint, judge)
        result["seconds for 20 steps, one picture"] = _timed(lambda: generate(checkpoint, ["a cat"], [1]))
    options.figures.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
