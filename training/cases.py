"""The prompts of the evaluation: a sheet of 64, and the larger set behind the figures."""

from dataclasses import dataclass, replace

import numpy as np

from training.captions import plain_caption
from training.composition import (
    COLOUR_NAMES,
    SCENE_NAMES,
    Composition,
    Item,
    choice,
    held_out_background,
    held_out_pair,
    held_out_shape,
)
from training.vocabulary import OBJECTS, SHAPES


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt of the evaluation: what it asks, whether training saw the combination, its seed."""

    composition: Composition
    unseen: bool
    seed: int

    @property
    def prompt(self) -> str:
        """The caption that a person would write."""
        return plain_caption(self.composition)


def _objects_on_colours() -> list[Composition]:
    return [Composition((Item(thing.name),), background=colour) for thing in OBJECTS for colour in COLOUR_NAMES]


def _coloured_shapes() -> list[Composition]:
    return [Composition((Item(shape, colour),)) for shape in SHAPES for colour in COLOUR_NAMES]


def _pairs() -> list[Composition]:
    items = [Item(thing.name) for thing in OBJECTS]
    return [Composition((a, b)) for i, a in enumerate(items) for b in items[i + 1 :]]


def _is_unseen(composition: Composition) -> bool:
    first = composition.items[0]
    if len(composition.items) == 2:
        return held_out_pair(composition.items)
    if first.is_shape:
        return held_out_shape(first)
    return composition.background is not None and held_out_background(first, composition.background)


def _pick(rng: np.random.Generator, pool: list[Composition], unseen: bool, count: int) -> list[Case]:
    fitting = [c for c in pool if _is_unseen(c) == unseen]
    order = rng.permutation(len(fitting))[:count]
    return [Case(fitting[i], unseen, 1000 + int(rng.integers(1000))) for i in order]


def sheet_cases() -> list[Case]:
    """The 64 prompts of the sheet: 32 of combinations that training saw, then 32 that it did not."""
    rng = np.random.default_rng(2026)
    plain = [Composition((Item(thing.name),)) for thing in OBJECTS]
    scenes = [Composition((Item(choice(rng, OBJECTS).name),), scene=s) for s in SCENE_NAMES[::2]]
    cases = _pick(rng, plain, False, 8)
    cases += _pick(rng, _objects_on_colours(), False, 8) + _pick(rng, _coloured_shapes(), False, 8)
    cases += [Case(c, False, 2000 + i) for i, c in enumerate(scenes)] + _pick(rng, _pairs(), False, 4)
    cases += _pick(rng, _objects_on_colours(), True, 14) + _pick(rng, _coloured_shapes(), True, 12)
    return cases + _pick(rng, _pairs(), True, 6)


def score_cases() -> list[Case]:
    """The larger set behind the figures: every object, every held-out combination, and as many seen ones."""
    rng = np.random.default_rng(2027)
    backgrounds, shapes = _objects_on_colours(), _coloured_shapes()
    held = sum(map(_is_unseen, backgrounds))
    cases = _pick(rng, [Composition((Item(thing.name),)) for thing in OBJECTS], False, len(OBJECTS))
    cases += _pick(rng, backgrounds, True, held) + _pick(rng, backgrounds, False, held)
    cases += [replace(case, seed=case.seed + i) for i in range(3) for case in _pick(rng, shapes, True, 12)]
    cases += _pick(rng, shapes, False, 48)
    return cases + _pick(rng, _pairs(), True, 16) + _pick(rng, _pairs(), False, 16)
