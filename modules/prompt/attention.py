"""Attention: round and square brackets around a text, read as the weight that each run of text is encoded with.

Behaviour reproduced: AUTOMATIC1111 v1.10.1. Kinder in two places, each with a notice: a weight that is no number
(`(a:1.2.3)`) stays text instead of failing the picture, and BREAK inside brackets breaks instead of becoming a word.
"""

import math
import re
from dataclasses import dataclass
from itertools import pairwise

from modules.prompt.notices import PromptNotice, quote

ROUND_FACTOR = 1.1
SQUARE_FACTOR = 1 / 1.1
BREAK = ("BREAK", -1.0)
"""How a forced chunk end stands in a list of (text, weight)."""

EXACT_PRODUCTS = 4_000_000
"""Up to this many multiplications weights are taken factor by factor, in the order that rounds as A1111 does."""

_PIECE = re.compile(
    r"""
      (?P<escape> \\ [()\[\]\\]? )
    | (?P<open> [(\[] )
    | (?P<weight> : \s*+ (?P<number> [+-]? [.\d]++ ) \s*+ \) )
    | (?P<close> [)\]] )
    | (?P<text> [^\\()\[\]:]+ | : )
    """,
    re.VERBOSE,
)
_BREAK = re.compile(r"\bBREAK\b")


@dataclass(slots=True)
class _Scan:
    """The state of one pass over a prompt: pieces of text, where brackets opened, which factor covers which pieces."""

    pieces: list[str]
    breaks: set[int]
    opened: dict[str, list[int]]
    factors: list[tuple[int, int, float]]
    notices: list[PromptNotice]

    def add(self, text: str) -> None:
        self.pieces.append(text)

    def add_text(self, text: str) -> None:
        """Text between brackets, where BREAK as a whole word ends a chunk and swallows the space around it."""
        parts = _BREAK.split(text)
        if len(parts) == 1:
            self.pieces.append(text)
            return
        last = len(parts) - 1
        for index, part in enumerate(parts):
            if index:
                self.breaks.add(len(self.pieces))
                self.pieces.append("BREAK")
            stripped = part.lstrip() if index else part
            self.pieces.append(stripped.rstrip() if index < last else stripped)

    def close(self, bracket: str, factor: float) -> None:
        start = self.opened[bracket].pop()
        self.factors.append((start, len(self.pieces), factor))

    def finish(self) -> None:
        """Brackets never closed reach to the end of the text: all round ones first, then the square ones."""
        end = len(self.pieces)
        for bracket, factor in (("(", ROUND_FACTOR), ("[", SQUARE_FACTOR)):
            self.factors.extend((start, end, factor) for start in self.opened[bracket])


@dataclass(frozen=True, slots=True)
class Attention:
    """A text with its brackets read: runs of (text, weight), and what was read kindly."""

    parts: tuple[tuple[str, float], ...]
    notices: tuple[PromptNotice, ...]


def parse_attention(text: str) -> list[tuple[str, float]]:
    """Runs of (text, weight) with the brackets taken off; a forced chunk end is ("BREAK", -1).

    `(x)` weighs 1.1, `[x]` 1/1.1, `(x:1.5)` 1.5; brackets nest by multiplication, and neighbours of equal weight are
    one run. A backslash keeps a bracket literal. Never raises, and never returns an empty list.
    """
    return list(read_attention(text).parts)


def read_attention(text: str) -> Attention:
    """As `parse_attention`, with the notices about readings that differ from A1111's."""
    scan = _Scan([], set(), {"(": [], "[": []}, [], [])
    for match in _PIECE.finditer(text):
        _read_piece(scan, match)
    scan.finish()
    weights = _weights(len(scan.pieces), scan.factors)
    if any(weights[index] != 1.0 for index in scan.breaks):
        message = "BREAK inside brackets starts a new chunk, as it does outside of them."
        scan.notices.append(PromptNotice("break-in-brackets", message))
    return Attention(tuple(_merge(scan.pieces, weights, scan.breaks)), tuple(scan.notices))


def _read_piece(scan: _Scan, match: re.Match[str]) -> None:
    piece = match.group()
    kind = match.lastgroup
    if kind == "escape":
        scan.add(piece[1:])
    elif kind == "open":
        scan.opened[piece].append(len(scan.pieces))
    elif kind == "weight" and scan.opened["("]:
        _read_weight(scan, piece, match.group("number"))
    elif piece == ")" and scan.opened["("]:
        scan.close("(", ROUND_FACTOR)
    elif piece == "]" and scan.opened["["]:
        scan.close("[", SQUARE_FACTOR)
    else:
        scan.add_text(piece)


def _read_weight(scan: _Scan, piece: str, number: str) -> None:
    """`:1.2)` closes a round bracket with that weight; `:1.2.3)` is text before an ordinary closing bracket."""
    try:
        factor = float(number)
    except ValueError:
        scan.notices.append(
            PromptNotice("weight", f"{quote(piece[:-1])} is not a number, so it stays text in brackets.")
        )
        scan.add(piece[:-1])
        factor = ROUND_FACTOR
    scan.close("(", factor)


def _weights(count: int, factors: list[tuple[int, int, float]]) -> list[float]:
    """The product of the factors over each piece; `factors` are (first piece, piece after the last, factor)."""
    weights = [1.0] * count
    if sum(end - start for start, end, _ in factors) > EXACT_PRODUCTS:
        return _weights_by_logarithm(count, factors)
    for start, end, factor in factors:
        for index in range(start, end):
            weights[index] *= factor
    return weights


def _weights_by_logarithm(count: int, factors: list[tuple[int, int, float]]) -> list[float]:
    """The same in linear time, for texts of many thousand nested brackets; differs in the last digits only."""
    logs, zeros, signs = [0.0] * (count + 1), [0] * (count + 1), [0] * (count + 1)
    for start, end, factor in factors:
        log, zero, sign = math.log(abs(factor)) if factor else 0.0, int(factor == 0), int(factor < 0)
        logs[start] += log
        logs[end] -= log
        zeros[start] += zero
        zeros[end] -= zero
        signs[start] += sign
        signs[end] -= sign
    weights, log, zero, sign = [], 0.0, 0, 0
    for index in range(count):
        log, zero, sign = log + logs[index], zero + zeros[index], sign + signs[index]
        size = 0.0 if zero else math.exp(log) if log < 709 else math.inf
        weights.append(-size if sign % 2 else size)
    return weights


def _merge(pieces: list[str], weights: list[float], breaks: set[int]) -> list[tuple[str, float]]:
    """Neighbouring pieces of the same weight as one run, so that their text is tokenised together."""
    if not pieces:
        return [("", 1.0)]
    starts = [0]
    for before, index in pairwise(range(len(pieces))):
        if before in breaks or index in breaks or weights[before] != weights[index]:
            starts.append(index)
    return [
        BREAK if start in breaks else ("".join(pieces[start:end]), weights[start])
        for start, end in pairwise([*starts, len(pieces)])
    ]
