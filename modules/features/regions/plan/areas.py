"""Which prompt guides which part of a picture, as values, and what is wrong with it. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from modules.parameters import RequestError

MOST_REGIONS: Final = 32


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle of the picture, in shares of its width and height from its upper left corner."""

    left: float = 0.0
    right: float = 1.0
    top: float = 0.0
    bottom: float = 1.0

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole picture."""
        return self == WHOLE

    def meets(self, other: Rectangle) -> bool:
        """Whether they have some of the picture in common."""
        across = min(self.right, other.right) > max(self.left, other.left)
        return across and min(self.bottom, other.bottom) > max(self.top, other.top)


WHOLE: Final = Rectangle()


@dataclass(frozen=True, slots=True)
class ColourPlace:
    """What has the colour of region `number` of `count`, or with `number` None what has none of their colours."""

    number: int | None
    count: int


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle, or what is white in the picture of that name, or has that `colour` in it; with a weight."""

    box: Rectangle = WHOLE
    weight: float = 1.0
    picture: str = ""
    colour: ColourPlace | None = None


@dataclass(frozen=True, slots=True)
class WordPlace:
    """Where the model looks at a word of the first region's text: at least `threshold` of the most, 0 to 1."""

    word: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Region:
    """A prompt and where it guides: the sum of its areas, or the place of a `word`.

    `negative` is its own negative prompt, None for that of the pass.
    """

    text: str
    areas: tuple[Area, ...]
    negative: str | None = None
    word: WordPlace | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The regions of a picture.

    In `latent` mode each is a prompt of its own joined with AND, else cross attention looks at all of them in one call.
    `shared` has them share each place in proportion to their weights there; else the weights count as they are, until
    step `until` where that is given. `skips_hires` leaves the hires pass to the plain prompt. Of places of words that
    meet the `later_wins`, or they share what they have in common.
    """

    regions: tuple[Region, ...]
    latent: bool = False
    shared: bool = True
    skips_hires: bool = False
    until: int | None = None
    later_wins: bool = False

    @property
    def by_words(self) -> bool:
        """Whether some region's place is that of a word, which only the passes find."""
        return any(region.word is not None for region in self.regions)

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of the pictures among its areas."""
        return tuple(area.picture for region in self.regions for area in region.areas if area.picture)

    @property
    def overlaps(self) -> bool:
        """Whether rectangles of two regions, neither of them a background, meet."""
        own = [[area.box for area in region.areas if not area.picture] for region in self.regions]
        backs = [any(box.is_whole for box in boxes) or len(boxes) > 1 for boxes in own]
        parts = [boxes for boxes, is_back in zip(own, backs, strict=True) if not is_back]
        return any(
            one.meets(other)
            for number, boxes in enumerate(parts)
            for others in parts[number + 1 :]
            for one in boxes
            for other in others
        )


def checked_layout(layout: Layout, title: str) -> Layout:
    """`layout`, whose regions cover the whole picture. Raises RequestError."""
    if len(layout.regions) > MOST_REGIONS:
        raise RequestError(f"{title}: there are {len(layout.regions)} regions; at most {MOST_REGIONS} are possible.")
    if layout.shared and not layout.pictures and has_gaps(layout):
        raise RequestError(gap_sentence(title))
    return layout


def gap_sentence(title: str) -> str:
    """What is said where a place of the picture has no prompt."""
    return f"{title}: the regions leave a part of the picture without a prompt: enlarge one, or add a background."


def has_gaps(layout: Layout) -> bool:
    """Whether some place lies in no rectangle that has a weight."""
    boxes = [area.box for region in layout.regions for area in region.areas if area.weight > 0]
    across = _middles([edge for box in boxes for edge in (box.left, box.right)])
    down = _middles([edge for box in boxes for edge in (box.top, box.bottom)])
    return any(
        not any(box.left <= x <= box.right and box.top <= y <= box.bottom for box in boxes)
        for x in across
        for y in down
    )


def _middles(edges: Sequence[float]) -> list[float]:
    # Between edges that are a hair apart nothing of a picture lies.
    cuts = sorted({0.0, 1.0, *edges})
    return [(one + other) / 2 for one, other in pairwise(cuts) if other - one > 1e-4]


def split_length(sizes: Sequence[float]) -> list[tuple[float, float]]:
    """From 0 to 1 cut in proportion to `sizes`: (start, end) of each part."""
    total, edges = sum(sizes), [0.0]
    for size in sizes:
        edges.append(edges[-1] + size / total)
    edges[-1] = 1.0
    return list(pairwise(edges))
