"""What a picture shows, as a value; how compositions are drawn at random; which ones training never sees."""

import zlib
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from training.vocabulary import COLOURS, OBJECTS, SCENES, SHAPES

HELD_OUT_ONE_IN = 9
COLOUR_NAMES = tuple(COLOURS)
SCENE_NAMES = tuple(SCENES)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in the picture: an object by its name, or a plain shape in a named colour."""

    name: str
    colour: str | None = None

    @property
    def is_shape(self) -> bool:
        """Shapes have a colour; objects come in their own."""
        return self.colour is not None


@dataclass(frozen=True, slots=True)
class Composition:
    """No, one or two items (left, right), on a named background colour, in a scene, or on nothing said."""

    items: tuple[Item, ...]
    background: str | None = None
    scene: str | None = None


def _drawn_out(*words: str) -> bool:
    """A choice that is the same on every machine and in every run: by checksum, not by generator."""
    return zlib.crc32("|".join(words).encode()) % HELD_OUT_ONE_IN == 0


def held_out_background(item: Item, background: str) -> bool:
    """Whether this object never appears on this background in training."""
    return _drawn_out("background", item.name, background)


def held_out_shape(item: Item) -> bool:
    """Whether this shape never appears in this colour in training."""
    return item.colour is not None and _drawn_out("shape", item.name, item.colour)


def held_out_pair(items: tuple[Item, ...]) -> bool:
    """Whether these two objects never appear side by side in training, in either order."""
    return _drawn_out("pair", *sorted(item.name for item in items))


def is_held_out(composition: Composition) -> bool:
    """Whether any part of the composition is in the test split."""
    items = composition.items
    if any(held_out_shape(item) for item in items):
        return True
    if composition.background and any(held_out_background(i, composition.background) for i in items if not i.is_shape):
        return True
    return len(items) == 2 and not any(item.is_shape for item in items) and held_out_pair(items)


T = TypeVar("T")


def choice(rng: np.random.Generator, values: tuple[T, ...]) -> T:
    """One of the values, all equally likely."""
    return values[int(rng.integers(len(values)))]


def _random_object(rng: np.random.Generator) -> Item:
    return Item(choice(rng, OBJECTS).name)


def _random_shape(rng: np.random.Generator) -> Item:
    return Item(choice(rng, SHAPES), choice(rng, COLOUR_NAMES))


def _draw(rng: np.random.Generator) -> Composition:
    kind = rng.random()
    if kind < 0.17:
        return Composition((_random_object(rng),))
    if kind < 0.50:
        return Composition((_random_object(rng),), background=choice(rng, COLOUR_NAMES))
    if kind < 0.60:
        return Composition((_random_object(rng),), scene=choice(rng, SCENE_NAMES))
    if kind < 0.72:
        return Composition((_random_shape(rng),))
    if kind < 0.84:
        return Composition((_random_shape(rng),), background=choice(rng, COLOUR_NAMES))
    if kind < 0.94:
        background = choice(rng, COLOUR_NAMES) if rng.random() < 0.4 else None
        return Composition((_random_object(rng), _random_object(rng)), background=background)
    if kind < 0.97:
        return Composition((_random_shape(rng), _random_shape(rng)))
    if kind < 0.985:
        return Composition((), background=choice(rng, COLOUR_NAMES))
    return Composition((), scene=choice(rng, SCENE_NAMES))


def _is_visible(composition: Composition) -> bool:
    names = [item.name for item in composition.items]
    return len(set(names)) == len(names) and all(
        i.colour != composition.background or not i.is_shape for i in composition.items
    )


def random_composition(rng: np.random.Generator) -> Composition:
    """One composition of the training split."""
    while True:
        composition = _draw(rng)
        if _is_visible(composition) and not is_held_out(composition):
            return composition
