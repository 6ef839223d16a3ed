"""Regional Prompter's words: from a prompt to the rectangles that its parts guide.

`common ADDCOMM base ADDBASE one ADDCOL two ADDROW three`; BREAK stands for whichever comes next.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from modules.features.declaration import Values
from modules.features.regional_prompter.declare import (
    MASK,
    PROMPT,
    PROMPT_EX,
    REGIONAL_PROMPTER,
    ROWS,
    RegionalPrompterArguments,
)
from modules.features.regional_prompter.plan.places import (
    RegionTexts,
    base_shares,
    joined_texts,
    masked_regions,
    worded_regions,
)
from modules.features.regions.declare import mask_units
from modules.features.regions.plan.areas import Area, Layout, Rectangle, Region, checked_layout, split_length
from modules.parameters import RequestError

_TITLE: Final = REGIONAL_PROMPTER.title
_WORDS: Final = re.compile(r"\b(BREAK|ADDCOL|ADDROW)\b")
_AND: Final = re.compile(r"\bAND\b")
_COMMON: Final = re.compile(r"\bADDCOMM\b")
_BASE: Final = re.compile(r"\bADDBASE\b")


def regional_layout(prompt: str, negative: str, values: Values) -> Layout | None:
    """The regions of a prompt, None where it has only one. Raises RequestError."""
    arguments = RegionalPrompterArguments.read(values)
    texts = _texts(prompt, arguments)
    regions: Sequence[Region] | None
    if arguments.divide_mode == MASK:
        regions = masked_regions(texts, arguments, tuple(mask_units(values)))
    elif arguments.divide_mode == PROMPT:
        regions = worded_regions(texts, arguments)
    else:
        regions = _cut_regions(texts, arguments)
    if regions is None:
        return None
    negatives = _negatives(negative, len(regions), common=arguments.use_common_negative)
    made = (replace(one, negative=own) for one, own in zip(regions, negatives, strict=True))
    later_wins = arguments.prompt_mode == PROMPT_EX
    return checked_layout(Layout(tuple(made), latent=arguments.is_latent, later_wins=later_wins), _TITLE)


def _cut_regions(texts: RegionTexts, arguments: RegionalPrompterArguments) -> list[Region] | None:
    """Those of the matrix: a rectangle for each text."""
    boxes = _boxes(texts, arguments)
    if len(boxes) == 1 and texts.base is None:
        return None
    shares = base_shares(arguments.base_ratios, len(boxes)) if texts.base is not None else [0.0] * len(boxes)
    found = texts.regions if len(boxes) == len(texts.regions) else texts.regions[: len(boxes)]
    regions = [
        Region(joined_texts(texts.common, text), (Area(box, 1 - share),))
        for text, box, share in zip(found, boxes, shares, strict=True)
    ]
    if texts.base is not None:
        below = tuple(Area(box, share) for box, share in zip(boxes, shares, strict=True))
        regions = [Region(joined_texts(texts.common, texts.base), below), *regions]
    return regions


def _texts(prompt: str, arguments: RegionalPrompterArguments) -> RegionTexts:
    if not arguments.not_change_and:
        prompt = _AND.sub("BREAK", prompt)
    common, base = "", None
    if _COMMON.search(prompt):
        common, prompt = (part.strip() for part in _COMMON.split(prompt, maxsplit=1))
    elif arguments.use_common:
        common, prompt = _first(prompt)
    if _BASE.search(prompt):
        base, prompt = (part.strip() for part in _BASE.split(prompt, maxsplit=1))
    elif arguments.use_base:
        base, prompt = _first(prompt)
    outer = "ADDCOL" if arguments.matrix_mode == ROWS else "ADDROW"
    pieces = _WORDS.split(prompt)
    nested: list[list[str]] = [[pieces[0].strip()]]
    for word, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if word == outer:
            nested.append([text.strip()])
        else:
            nested[-1].append(text.strip())
    return RegionTexts(common, base, nested)


def _first(prompt: str) -> tuple[str, str]:
    """A prompt's first part, and the others; where there is one alone, it is for the whole picture."""
    pieces = _WORDS.split(prompt, maxsplit=1)
    return (pieces[0].strip(), pieces[2].strip()) if len(pieces) > 1 else ("", prompt)


def _boxes(texts: RegionTexts, arguments: RegionalPrompterArguments) -> list[Rectangle]:
    """One rectangle for each region, in their order."""
    counts = [len(inner) for inner in texts.nested]
    ratios = _ratios(arguments.ratios, flip=arguments.flip)
    if len(counts) == 1 and len(ratios) > 1 and sum(len(inner) for _, inner in ratios) == counts[0]:
        # Only BREAK between them: the ratios say which are in a line.
        counts = [len(inner) for _, inner in ratios]
    if len(ratios) == 1 and len(counts) == len(ratios[0][1]) and set(counts) == {1}:
        ratios = [(size, [1.0]) for size in ratios[0][1]]
    if [len(inner) for _, inner in ratios] != counts:
        # As the extension does: numbers for other regions than there are don't count.
        ratios = [(1.0, [1.0] * count) for count in counts]
    boxes = []
    for (start, end), (_, inner) in zip(split_length([size for size, _ in ratios]), ratios, strict=True):
        for low, high in split_length(inner):
            rows = arguments.matrix_mode == ROWS
            boxes.append(Rectangle(start, end, low, high) if rows else Rectangle(low, high, start, end))
    return boxes


def _ratios(text: str, *, flip: bool) -> list[tuple[float, list[float]]]:
    """Size of each outer part, and of those in it. Of several outer parts the first number is their own size."""
    if flip:
        text = text.translate(str.maketrans(",;", ";,"))
    groups = [_numbers(group, text) for group in text.split(";") if group.strip()]
    if len(groups) <= 1:
        return [(1.0, groups[0] if groups else [1.0])]
    return [(group[0], group[1:] or [1.0]) for group in groups]


def _numbers(group: str, whole: str) -> list[float]:
    try:
        found = [float(number) for number in group.split(",") if number.strip()]
    except ValueError:
        found = []
    if not found or not all(math.isfinite(number) and number > 0 for number in found):
        raise RequestError(
            f"{_TITLE}: the ratio {whole[:60]!r} can't be read: write numbers above 0 with commas between them, and "
            "semicolons between the lines."
        )
    return found


def _negatives(negative: str, count: int, *, common: bool) -> Sequence[str | None]:
    """Each region's negative prompt by the same words. One alone is for all of them; missing ones are the last."""
    pieces = [text.strip() for text in _WORDS.split(negative)[::2]]
    shared = ""
    if common and len(pieces) > 1:
        shared, *pieces = pieces
    if len(pieces) == 1:
        return [joined_texts(shared, pieces[0]) if shared else None] * count
    own = [*pieces, *[pieces[-1]] * count][:count]
    return [joined_texts(shared, text) for text in own]
