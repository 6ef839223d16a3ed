"""AND: a prompt of several conditions, each guiding the picture with its own weight."""

import re
from dataclasses import dataclass

from modules.prompt.notices import PromptNotice, quote

_AND = re.compile(r"\bAND\b")
_WEIGHT = re.compile(r"\s*+([-+]?(?:\d+\.?|\d*\.\d+))")


@dataclass(frozen=True, slots=True)
class Composition:
    """A prompt split on AND: (text, weight) of each part, and what was read kindly."""

    parts: tuple[tuple[str, float], ...]
    notices: tuple[PromptNotice, ...]


def split_composable(text: str) -> list[tuple[str, float]]:
    """The parts of a prompt between ANDs (whole word, upper case) as (text, weight).

    A part may end in `:weight`, of either sign; without it the weight is 1. A prompt without AND is one part of weight
    1, and a number at its end stays text (`ratio 16:9`, where A1111 takes the 9 for a weight). Never raises.
    """
    return list(read_composition(text).parts)


def blended(first: str, second: str, share: float) -> str:
    """A prompt guided by `first` with 1 - `share` of its weight and by `second` with `share` of its own.

    At 0 and 1 that is one of them as it stands.
    """
    if share <= 0:
        return first
    if share >= 1:
        return second
    both = [(first, 1 - share), (second, share)]
    parts = [(text, weight * part) for prompt, part in both for text, weight in split_composable(prompt)]
    return " AND ".join(f"{text} :{weight:.6f}".rstrip("0").rstrip(".") for text, weight in parts)


def read_composition(text: str) -> Composition:
    """As `split_composable`, with the notices about readings that differ from A1111's or may surprise."""
    texts = _AND.split(text)
    parts = tuple(_split_weight(part) for part in texts)
    if len(texts) > 1:
        return Composition(parts, ())
    plain = text.rstrip()
    if parts[0][0] == plain:
        return Composition(((plain, 1.0),), ())
    message = f"The number at the end of {quote(plain)} is text: a weight for the whole prompt needs an AND."
    return Composition(((plain, 1.0),), (PromptNotice("weight-without-and", message),))


def _split_weight(part: str) -> tuple[str, float]:
    stripped = part.rstrip()
    before, colon, after = stripped.rpartition(":")
    match = _WEIGHT.fullmatch(after) if colon else None
    return (before.rstrip(), float(match.group(1))) if match else (stripped, 1.0)
