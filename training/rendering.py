"""Composition to picture: 128x128, flat, with positions on the grid of latent cells.

Boxes start at multiples of eight pixels, so a patch of the autoencoder meets an object in few different phases:
a small autoencoder then learns the patches well, which it cannot for free positions. A share of free positions
(`free=True`) keeps it usable for pictures that people bring.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from training.composition import COLOUR_NAMES, Composition, Item
from training.font import find_font, read_glyphs
from training.vocabulary import COLOURS, OBJECTS

SIZE = 128
CELL = 8
SINGLE_SIZES = (80, 96, 112)
PAIR_SIZE = 56
WHITE_SHARE = 0.6


@functools.cache
def _glyphs() -> dict[str, np.ndarray]:
    bitmaps = read_glyphs(find_font(), tuple(thing.emoji for thing in OBJECTS))
    return {thing.name: bitmaps[thing.emoji] for thing in OBJECTS}


def _regular(corners: int, turn: float, radii: tuple[float, ...] = (1.0,)) -> list[tuple[float, float]]:
    points = []
    for i in range(corners):
        angle, radius = turn + 2 * math.pi * i / corners, radii[i % len(radii)]
        points.append((math.cos(angle) * radius, math.sin(angle) * radius))
    return points


def _heart() -> list[tuple[float, float]]:
    points = []
    for i in range(90):
        a = 2 * math.pi * i / 90
        x = 16 * math.sin(a) ** 3
        y = 13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)
        points.append((x / 17, -(y + 2.5) / 17))
    return points


def _cross() -> list[tuple[float, float]]:
    a, b = 0.32, 0.95
    return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]


def _outline(name: str) -> list[tuple[float, float]]:
    up = -math.pi / 2
    outlines: dict[str, Callable[[], list[tuple[float, float]]]] = {
        "circle": lambda: _regular(90, 0),
        "ring": lambda: _regular(90, 0),
        "square": lambda: [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": lambda: [(0, -0.9), (1, 0.85), (-1, 0.85)],
        "star": lambda: _regular(10, up, (1.0, 0.42)),
        "heart": _heart,
        "diamond": lambda: [(0, -1), (0.7, 0), (0, 1), (-0.7, 0)],
        "hexagon": lambda: _regular(6, 0),
        "cross": _cross,
    }
    return outlines[name]()


@functools.cache
def _shape_mask(name: str, size: int) -> np.ndarray:
    scale = size * 4
    image = Image.new("L", (scale, scale), 0)
    draw = ImageDraw.Draw(image)
    draw.polygon([((x + 1) * scale / 2, (y + 1) * scale / 2) for x, y in _outline(name)], fill=255)
    if name == "ring":
        hole = scale * 0.27
        draw.ellipse((hole, hole, scale - hole, scale - hole), fill=0)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX), np.float32) / 255


@functools.cache
def _sprite(name: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied colour [size, size, 3] in 0..255 and coverage [size, size, 1] in 0..1 of an object."""
    glyph = Image.fromarray(_glyphs()[name]).convert("RGBa")
    square = Image.new("RGBa", (136, 136))
    square.paste(glyph, (0, 4))
    pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS), np.float32)
    return pixels[..., :3], pixels[..., 3:] / 255


def _paste(canvas: np.ndarray, item: Item, size: int, x: int, y: int) -> None:
    if item.colour is not None:
        cover = _shape_mask(item.name, size)[..., None]
        colour: np.ndarray = cover * np.asarray(COLOURS[item.colour], np.float32)
    else:
        colour, cover = _sprite(item.name, size)
    region = canvas[y : y + size, x : x + size]
    region *= 1 - cover
    region += colour


def _gradient(*stops: tuple[float, tuple[int, int, int]]) -> np.ndarray:
    rows = np.linspace(0, 1, SIZE)
    places = [place for place, _ in stops]
    channels = [np.interp(rows, places, [colour[c] for _, colour in stops]) for c in range(3)]
    return np.repeat(np.stack(channels, -1)[:, None], SIZE, axis=1).astype(np.float32)


def _with_discs(canvas: np.ndarray, discs: list[tuple[int, int, int, tuple[int, int, int]]]) -> np.ndarray:
    image = Image.fromarray(canvas.astype(np.uint8)).resize((SIZE * 2, SIZE * 2), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for x, y, radius, colour in discs:
        draw.ellipse([2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius)], fill=colour)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32)


@functools.cache
def scene_picture(name: str) -> np.ndarray:
    """The fixed backdrop of a scene: float32 [128, 128, 3] in 0..255."""
    dots = [
        (12, 14),
        (40, 6),
        (70, 20),
        (104, 10),
        (120, 42),
        (8, 60),
        (118, 84),
        (20, 108),
        (60, 120),
        (100, 114),
        (28, 36),
    ]
    stars = [(x, y, 1 + i % 2, (255, 255, 240)) for i, (x, y) in enumerate(dots)]
    flakes = [(x, y, 3, (255, 255, 255)) for x, y in dots]
    bubbles = [(x, y, 3, (150, 215, 240)) for x, y in dots]
    sky, sand = (130, 205, 250), (240, 215, 150)
    return {
        "beach": lambda: _gradient(
            (0, sky), (0.40, sky), (0.41, (30, 120, 200)), (0.65, (40, 160, 215)), (0.66, sand), (1, sand)
        ),
        "space": lambda: _with_discs(_gradient((0, (10, 10, 40)), (1, (40, 15, 70))), stars),
        "snow": lambda: _with_discs(
            _gradient((0, (150, 190, 225)), (0.7, (190, 215, 240)), (0.71, (245, 250, 255)), (1, (245, 250, 255))),
            flakes,
        ),
        "underwater": lambda: _with_discs(_gradient((0, (60, 170, 220)), (1, (10, 50, 120))), bubbles),
        "desert": lambda: _gradient(
            (0, (250, 215, 150)), (0.6, (255, 235, 190)), (0.61, (220, 160, 90)), (1, (190, 125, 60))
        ),
        "grass": lambda: _gradient((0, sky), (0.6, (190, 230, 255)), (0.61, (110, 190, 70)), (1, (60, 140, 45))),
        "sunset": lambda: _with_discs(
            _gradient((0, (90, 40, 120)), (0.7, (255, 130, 60)), (0.71, (60, 30, 70)), (1, (40, 20, 55))),
            [(100, 68, 14, (255, 225, 120))],
        ),
        "night": lambda: _with_discs(
            _gradient((0, (8, 15, 50)), (0.75, (30, 45, 95)), (0.76, (15, 35, 25)), (1, (10, 25, 18))),
            [(104, 22, 11, (250, 245, 200)), *stars[:3], *stars[5:6]],
        ),
    }[name]()


def _backdrop(composition: Composition, rng: np.random.Generator) -> np.ndarray:
    if composition.scene:
        return scene_picture(composition.scene).copy()
    name = composition.background
    if name is None:
        taken = {item.colour for item in composition.items}
        free = [colour for colour in COLOUR_NAMES if colour not in taken]
        name = "white" if "white" in free and rng.random() < WHITE_SHARE else free[int(rng.integers(len(free)))]
    return np.full((SIZE, SIZE, 3), COLOURS[name], np.float32)


def _place_single(rng: np.random.Generator, free: bool) -> tuple[int, int, int]:
    if free:
        size = int(rng.integers(48, 121))
        return size, int(rng.integers(0, SIZE - size + 1)), int(rng.integers(0, SIZE - size + 1))
    size = SINGLE_SIZES[int(rng.integers(len(SINGLE_SIZES)))]
    middle = (SIZE - size) // 2 // CELL * CELL
    x, y = (middle + CELL * int(rng.integers(-1, 2)) for _ in range(2))
    return size, x, y


def render(composition: Composition, rng: np.random.Generator, free: bool = False) -> np.ndarray:
    """The picture of a composition: uint8 [128, 128, 3]; size and position come from the generator."""
    canvas = _backdrop(composition, rng)
    if len(composition.items) == 1:
        _paste(canvas, composition.items[0], *_place_single(rng, free))
    for side, item in enumerate(composition.items if len(composition.items) == 2 else ()):
        jitter = int(rng.integers(0, CELL)) if free else CELL * int(rng.integers(0, 2))
        height = 24 + int(rng.integers(0, 24)) if free else 32 + CELL * int(rng.integers(0, 2))
        _paste(canvas, item, PAIR_SIZE, 64 * side + jitter, height)
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
