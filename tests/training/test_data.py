"""The training data: fixed split, deterministic pictures, captions that say what is drawn."""

import numpy as np
import pytest

pytest.importorskip("fontTools")

from training.captions import caption, plain_caption, with_article
from training.composition import (
    COLOUR_NAMES,
    Composition,
    Item,
    held_out_background,
    held_out_pair,
    held_out_shape,
    is_held_out,
    random_composition,
)
from training.font import find_font
from training.rendering import SIZE, render, scene_picture
from training.vocabulary import COLOURS, OBJECTS, SCENES, SHAPES


def has_font() -> bool:
    """Whether the emoji font is installed."""
    try:
        find_font()
    except FileNotFoundError:
        return False
    return True


needs_font = pytest.mark.skipif(not has_font(), reason="Noto Color Emoji is not installed")


def draws(seed: int, count: int) -> list[Composition]:
    rng = np.random.default_rng(seed)
    return [random_composition(rng) for _ in range(count)]


def test_training_never_draws_a_held_out_combination() -> None:
    assert not any(is_held_out(composition) for composition in draws(1, 4000))


def test_the_split_is_fixed() -> None:
    held = [(s, c) for s in SHAPES for c in COLOUR_NAMES if held_out_shape(Item(s, c))]
    assert held == [
        ("circle", "green"), ("triangle", "gray"), ("star", "cyan"), ("star", "pink"), ("star", "black"),
        ("heart", "pink"), ("heart", "gray"), ("hexagon", "blue"), ("hexagon", "black"), ("cross", "yellow"),
        ("ring", "green"), ("ring", "pink"),
    ]  # fmt: skip
    assert sum(held_out_background(Item(o.name), c) for o in OBJECTS for c in COLOUR_NAMES) == 56


def test_every_shape_colour_object_and_background_is_trained_in_some_combination() -> None:
    compositions = draws(2, 8000)
    items = {item for composition in compositions for item in composition.items}
    assert {item.name for item in items} == {thing.name for thing in OBJECTS} | set(SHAPES)
    assert {item.colour for item in items if item.colour} == set(COLOUR_NAMES)
    assert {c.background for c in compositions} == {None, *COLOUR_NAMES}
    assert {c.scene for c in compositions} == {None, *SCENES}


def test_a_pair_is_held_out_in_both_orders() -> None:
    pairs = [(Item(a.name), Item(b.name)) for a in OBJECTS[:12] for b in OBJECTS[:12]]
    assert all(held_out_pair(pair) == held_out_pair(pair[::-1]) for pair in pairs)


def test_compositions_repeat_with_the_seed() -> None:
    assert draws(3, 50) == draws(3, 50)
    assert draws(3, 50) != draws(4, 50)


@pytest.mark.parametrize(
    ("composition", "text"),
    [
        (Composition((Item("circle", "orange"),)), "an orange circle"),
        (Composition((Item("cat"),), background="blue"), "a cat on a blue background"),
        (Composition((Item("cat"), Item("dog"))), "a cat and a dog"),
        (Composition((Item("rocket"),), scene="space"), "a rocket in space"),
        (Composition((), background="red"), "a plain red background"),
    ],
)
def test_plain_captions(composition: Composition, text: str) -> None:
    assert plain_caption(composition) == text


def test_captions_name_shape_and_colour() -> None:
    rng = np.random.default_rng(5)
    composition = Composition((Item("star", "red"),), background="blue")
    for _ in range(60):
        text = caption(composition, rng)
        assert "red star" in text and "blue" in text


def test_captions_vary() -> None:
    rng = np.random.default_rng(6)
    assert len({caption(Composition((Item("cat"),), scene="beach"), rng) for _ in range(60)}) > 20


def test_articles() -> None:
    assert (with_article("orange"), with_article("lemon")) == ("an orange", "a lemon")


@needs_font
def test_rendering_is_deterministic_and_moves_with_the_seed() -> None:
    composition = Composition((Item("cat"),), background="green")
    first, again, other = (render(composition, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (SIZE, SIZE, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shapes_are_exactly_their_colour_on_exactly_the_background() -> None:
    picture = render(Composition((Item("square", "red"),), background="blue"), np.random.default_rng(0))
    assert tuple(picture[SIZE // 2, SIZE // 2]) == COLOURS["red"]
    assert tuple(picture[1, 1]) == COLOURS["blue"]


@needs_font
def test_every_object_is_in_the_font_and_pairs_keep_their_sides() -> None:
    for thing in OBJECTS:
        picture = render(Composition((Item(thing.name),), background="blue"), np.random.default_rng(0))
        assert (picture != COLOURS["blue"]).any(axis=-1).mean() > 0.05, thing.name
    pair = render(Composition((Item("red apple"), Item("green apple")), background="white"), np.random.default_rng(0))
    left, right = (half.reshape(-1, 3).mean(axis=0) for half in (pair[:, :64], pair[:, 64:]))
    assert left[0] > left[1] and right[1] > right[0]


def test_scenes_differ() -> None:
    pictures = [scene_picture(name) for name in SCENES]
    assert all(picture.shape == (SIZE, SIZE, 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(SCENES)
