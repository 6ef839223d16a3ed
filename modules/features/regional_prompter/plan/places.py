"""Regional Prompter's modes Mask and Prompt: regions by colours or masks, and regions where the model looks at a word.

Behaviour reproduced: sd-webui-regional-prompter, hako-mikan (2023).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from modules.features.regional_prompter.declare import REGIONAL_PROMPTER, RegionalPrompterArguments
from modules.features.regions.declare import MaskUnit
from modules.features.regions.plan.areas import WHOLE, Area, ColourPlace, Region, WordPlace
from modules.parameters import RequestError
from modules.prompt import parse_attention

_TITLE: Final = REGIONAL_PROMPTER.title
_BASE_SHARE: Final = 0.2
# What the extension's page begins with; programs send 0 for "as it is".
_THRESHOLD: Final = 0.4


@dataclass(frozen=True, slots=True)
class RegionTexts:
    """What a prompt says: for all regions, below all of them, and for each.

    `nested` has the texts by the outer cuts, then by the inner ones.
    """

    common: str
    base: str | None
    nested: list[list[str]]

    @property
    def regions(self) -> list[str]:
        """The texts of the regions in their order."""
        return [text for inner in self.nested for text in inner]


def joined_texts(common: str, text: str) -> str:
    """A region's text behind what all of them share."""
    return ", ".join(part for part in (common, text) if part)


def base_shares(text: str, count: int) -> list[float]:
    """How much of each region is the base's: one number for all of them, or one for each."""
    return _shares(text, count, _BASE_SHARE, "base ratio")


def masked_regions(
    texts: RegionTexts, arguments: RegionalPrompterArguments, units: Sequence[MaskUnit]
) -> list[Region] | None:
    """A region for each mask, or for each colour of the one picture; None where there is one text alone.

    What no region's colour or mask covers is the base prompt's. Raises RequestError.
    """
    found = [joined_texts(texts.common, text) for text in texts.regions]
    if len(found) == 1 and texts.base is None:
        return None
    shares = base_shares(arguments.base_ratios, len(found)) if texts.base is not None else [0.0] * len(found)
    coloured = arguments.mask or (units[0].painted if len(units) == 1 and len(found) > 1 else "")
    places: list[tuple[str, ColourPlace | None]]
    if coloured:
        places = [(coloured, ColourPlace(number, len(found))) for number in range(len(found))]
        uncovered = (Area(WHOLE, 1.0, coloured, ColourPlace(None, len(found))),)
    elif len(units) == len(found):
        places = [(unit.painted, None) for unit in units]
        # Faint enough to count only where no mask is.
        uncovered = (Area(WHOLE, 1e-3),)
    else:
        raise RequestError(
            f"{_TITLE}: the prompt has {len(found)} regions, and there are {len(units)} masks: give each region one, "
            "or all of them one picture with a colour for each."
        )
    regions = [
        Region(text, (Area(WHOLE, 1 - share, picture, colour),))
        for text, share, (picture, colour) in zip(found, shares, places, strict=True)
    ]
    if texts.base is None:
        return regions
    below = tuple(Area(WHOLE, share, picture, colour) for share, (picture, colour) in zip(shares, places, strict=True))
    return [Region(joined_texts(texts.common, texts.base), (*below, *uncovered)), *regions]


def worded_regions(texts: RegionTexts, arguments: RegionalPrompterArguments) -> list[Region] | None:
    """The first text for the whole picture, and each other one where the model looks at its last word in that text.

    None where there is one text alone. Raises RequestError.
    """
    first, *others = texts.regions if texts.base is None else (texts.base, *texts.regions)
    if not others:
        return None
    if arguments.is_latent:
        raise RequestError(f"{_TITLE}: the mode Prompt looks at attention: choose the generation mode Attention.")
    base = joined_texts(texts.common, first)
    thresholds = _shares(arguments.threshold, len(others), _THRESHOLD, "threshold")
    return [
        Region(base, (Area(),)),
        *(
            Region(joined_texts(texts.common, text), (), word=WordPlace(_target(text, base), threshold or _THRESHOLD))
            for text, threshold in zip(others, thresholds, strict=True)
        ),
    ]


def _target(text: str, base: str) -> str:
    """The word of the base that a region's text ends with, behind its last comma."""
    word = _plain(text.rpartition(",")[2])
    if not word or not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", _plain(base), re.IGNORECASE):
        raise RequestError(
            f"{_TITLE}: the region {text[:60]!r} ends with {word[:60]!r}, which is not in the first part of the "
            "prompt: let it end with a comma and a word from there."
        )
    return word


def _plain(text: str) -> str:
    """A text without emphasis, its spaces as one."""
    return " ".join("".join(run for run, _ in parse_attention(text)).split())


def _shares(text: str, count: int, default: float, what: str) -> list[float]:
    """Numbers from 0 to 1, one for each of `count`; the first for all of them where there are others."""
    try:
        found = [float(number) for number in re.split("[,;]", text) if number.strip()] or [default]
    except ValueError:
        found = [math.nan]
    if not all(0 <= share <= 1 for share in found):
        raise RequestError(
            f"{_TITLE}: the {what} {text[:60]!r} can't be read: write a number from 0 to 1, or one for each region."
        )
    return found if len(found) == count else [found[0]] * count
