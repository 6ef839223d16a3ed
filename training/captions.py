"""The caption grammar: many ways to ask for one composition, as people write prompts."""

import numpy as np

from training.composition import Composition, Item, choice
from training.vocabulary import COLOUR_SYNONYMS, OBJECTS, SCENES

NAMES = {thing.name: thing.names for thing in OBJECTS}
OPENINGS = (
    "a picture of ",
    "an illustration of ",
    "a drawing of ",
    "a photo of ",
    "an emoji of ",
    "a flat illustration of ",
)
TAGS = (
    "flat style",
    "best quality",
    "highly detailed",
    "masterpiece",
    "simple",
    "vector art",
    "high quality",
    "emoji",
    "8k",
)
BACKGROUNDS = (
    "on a {} background",
    "on a {} background",
    "with a {} background",
    "on {}",
    "in front of a {} background",
)
PAIRS = (
    "{} and {}",
    "{} and {}",
    "{} next to {}",
    "{} beside {}",
    "{} on the left and {} on the right",
    "{} left of {}",
    "{}, {}",
)


def colour_word(name: str, rng: np.random.Generator) -> str:
    """The colour's name or, one time in four, another word for it."""
    others = COLOUR_SYNONYMS.get(name, ())
    return choice(rng, others) if others and rng.random() < 0.25 else name


def with_article(phrase: str) -> str:
    """`a` or `an` before a phrase, by its first letter."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _item(item: Item, rng: np.random.Generator, article: bool) -> str:
    if item.colour is not None:
        phrase = f"{colour_word(item.colour, rng)} {item.name}"
    else:
        names = NAMES[item.name]
        phrase = names[0] if rng.random() < 0.6 else choice(rng, names)
    return with_article(phrase) if article else phrase


def _subject(items: tuple[Item, ...], rng: np.random.Generator) -> str:
    article = rng.random() < 0.7
    phrases = [_item(item, rng, article) for item in items]
    return phrases[0] if len(phrases) == 1 else choice(rng, PAIRS).format(*phrases)


def _place(composition: Composition, rng: np.random.Generator) -> tuple[str, str]:
    """The place as a phrase that follows the subject, and as a tag that stands alone."""
    if composition.scene:
        phrase = choice(rng, SCENES[composition.scene])
        return phrase, phrase if rng.random() < 0.5 else composition.scene
    if composition.background:
        colour = colour_word(composition.background, rng)
        return choice(rng, BACKGROUNDS).format(colour), f"{colour} background"
    return "", ""


def _core(composition: Composition, rng: np.random.Generator) -> str:
    phrase, tag = _place(composition, rng)
    if not composition.items:
        return f"a plain {tag}" if composition.background and rng.random() < 0.5 else tag
    subject = _subject(composition.items, rng)
    if not phrase:
        return subject
    kind = rng.random()
    if kind < 0.65:
        return f"{subject} {phrase}"
    return f"{subject}, {tag}" if kind < 0.9 else f"{tag}, {subject}"


def caption(composition: Composition, rng: np.random.Generator) -> str:
    """One of the captions of a composition."""
    text = _core(composition, rng)
    if rng.random() < 0.2:
        text = choice(rng, OPENINGS) + text
    if rng.random() < 0.2:
        tags = ", ".join(choice(rng, TAGS) for _ in range(int(rng.integers(1, 4))))
        text = f"{text}, {tags}" if rng.random() < 0.8 else f"{tags}, {text}"
    return text


def plain_caption(composition: Composition) -> str:
    """The caption that a person would write first; the evaluation uses it."""

    def name(item: Item) -> str:
        return with_article(f"{item.colour} {item.name}" if item.colour else item.name)

    text = " and ".join(name(item) for item in composition.items)
    if composition.background:
        text = (
            f"{text} on a {composition.background} background"
            if text
            else f"a plain {composition.background} background"
        )
    if composition.scene:
        text = f"{text} {SCENES[composition.scene][0]}".strip()
    return text
