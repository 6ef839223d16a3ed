"""Reading templates of dynamic prompts, in linear time; what can't be read is text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

# How an alternative is chosen: by chance, each in turn, or every one of them. None leaves it to the job.
Method = Literal["random", "cyclical", "combinatorial"]
_METHODS: Final[dict[str, Method]] = {"~": "random", "@": "cyclical", "!": "combinatorial"}
# Braces that lie deeper are text.
_DEEPEST: Final = 60

_BEGINS: Final = re.compile(r"\\[{}|]|[$%]?\{|__")
_BRACKET: Final = re.compile(r"\\.|[{}\[\]]", re.DOTALL)
_DIVISION: Final = re.compile(r"\\.|[{\[]|\||\$\$", re.DOTALL)
_BOUND: Final = re.compile(r"\s*(?P<low>\d{1,4})?(?P<range>-)?(?P<high>\d{1,4})?\$\$")
_WEIGHT: Final = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})::")
_WILDCARD: Final = re.compile(
    r"__(?P<method>[~@!])?(?P<name>(?!_)[^\n{}|$()<>:,\"]{1,120}?)(?:\((?P<bindings>[^\n()]{0,400})\))?__"
)
_BINDING: Final = re.compile(r"\s*([\w.-]{1,60})\s*=\s*([^,]*)")
_VARIABLE: Final = re.compile(r"\s*(?P<name>[\w.-]{1,60})\s*(?P<act>\?=|=|:|$)(?P<now>!)?")


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the texts that may be chosen, and how likely it is beside the others."""

    weight: float
    template: Template


@dataclass(frozen=True, slots=True)
class Variants:
    """`{a|b}`: `low` to `high` of the alternatives, joined by the separator. A `high` of None is all of them."""

    alternatives: tuple[Alternative, ...]
    low: int = 1
    high: int | None = 1
    separator: str = ","
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """`__name__`: an alternative out of the files of that name. `text` is what stands where there is none."""

    name: str
    method: Method | None
    bindings: tuple[tuple[str, Template], ...]
    text: str


@dataclass(frozen=True, slots=True)
class Assign:
    """`${name=…}`, drawn at each use, or `now` (`=!`) once; `only_new` (`?=`) leaves one that has a value."""

    name: str
    template: Template
    now: bool = False
    only_new: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """`${name}` or `${name:otherwise}`. `text` is what stands where nothing else is known."""

    name: str
    otherwise: Template | None
    text: str


@dataclass(frozen=True, slots=True)
class Wrap:
    """`%{before ... after$$inner}`: the inner text in place of the three dots."""

    around: Template
    inner: Template


Template = tuple["str | Variants | Wildcard | Assign | Read | Wrap", ...]


def parse(text: str) -> Template:
    """The template that `text` is."""
    return _Reader(text, _partners(text)).span(0, len(text), 0)


def weighed(text: str) -> tuple[float, str]:
    """The weight that stands before an alternative, `3::cat`, and the rest; 1 where there is none."""
    found = _WEIGHT.match(text)
    return (float(found[1]), text[found.end() :]) if found else (1.0, text)


def is_dynamic(template: Template) -> bool:
    """Whether anything is to be drawn of it."""
    return any(not isinstance(node, str) for node in template)


def _partners(text: str) -> dict[int, int]:
    """Where the bracket ends that begins at a place; those without another half are left out."""
    found: dict[int, int] = {}
    waiting: list[int] = []
    braces = 0
    for match in _BRACKET.finditer(text):
        match match[0]:
            case "{":
                waiting.append(match.start())
                braces += 1
            case "[":
                waiting.append(match.start())
            case "]" if waiting and text[waiting[-1]] == "[":
                found[waiting.pop()] = match.start()
            case "}" if braces:
                while text[waiting[-1]] != "{":
                    waiting.pop()
                found[waiting.pop()] = match.start()
                braces -= 1
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    text: str
    partners: dict[int, int]

    def span(self, start: int, end: int, depth: int) -> Template:
        """What stands from `start` to `end`."""
        nodes: list[str | Variants | Wildcard | Assign | Read | Wrap] = []
        done = start

        def say(until: int) -> None:
            if until > done:
                nodes.append(self.text[done:until])

        place = start
        while (match := _BEGINS.search(self.text, place, end)) is not None:
            if match[0][0] == "\\":
                say(match.start())
                done, place = match.start() + 1, match.end()
                continue
            node, after = self._node(match, end, depth)
            if node is None:
                place = match.end()
                continue
            say(match.start())
            nodes.append(node)
            done = place = after
        say(end)
        return tuple(nodes)

    def _node(
        self, begins: re.Match[str], end: int, depth: int
    ) -> tuple[Variants | Wildcard | Assign | Read | Wrap | None, int]:
        if begins[0] == "__":
            found = _WILDCARD.match(self.text, begins.start(), end)
            return (None, 0) if found is None else (_wildcard(found), found.end())
        close = self.partners.get(begins.end() - 1)
        if close is None or close >= end or depth >= _DEEPEST:
            return None, 0
        inside = begins.end()
        match begins[0]:
            case "{":
                return self._choice(inside, close, depth + 1), close + 1
            case "${":
                return self._variable(inside, close, depth + 1), close + 1
        return self._wrap(inside, close, depth + 1), close + 1

    def _divisions(self, start: int, end: int) -> tuple[list[int], list[int]]:
        """Where `|` and `$$` stand between `start` and `end`, but not inside of brackets there."""
        bars, dollars = [], []
        place = start
        while (match := _DIVISION.search(self.text, place, end)) is not None:
            place = match.end()
            if match[0] == "|":
                bars.append(match.start())
            elif match[0] == "$$":
                dollars.append(match.start())
            elif match[0] in "{[":
                place = self.partners.get(match.start(), match.start()) + 1
        return bars, dollars

    def _choice(self, start: int, end: int, depth: int) -> Variants:
        method = _METHODS.get(self.text[start : start + 1])
        start += method is not None
        low, high, separator = 1, 1, ","
        bars, dollars = self._divisions(start, end)
        bound = _BOUND.match(self.text, start, end)
        most: int | None = high
        if bound is not None and (bound["low"] or bound["high"]):
            low = int(bound["low"] or 1)
            most = int(bound["high"]) if bound["high"] else (None if bound["range"] else low)
            start = bound.end()
            second = next((place for place in dollars if place >= start), None)
            if second is not None:
                separator, start = self.text[start:second], second + 2
        edges = [start, *(place + 1 for place in bars if place >= start)]
        ends = [*(place for place in bars if place >= start), end]
        alternatives = tuple(self._alternative(*edge, depth) for edge in zip(edges, ends, strict=True))
        return Variants(alternatives, low, most, separator, method)

    def _alternative(self, start: int, end: int, depth: int) -> Alternative:
        found = _WEIGHT.match(self.text, start, end)
        return Alternative(float(found[1]) if found else 1.0, self.span(found.end() if found else start, end, depth))

    def _variable(self, start: int, end: int, depth: int) -> Assign | Read | None:
        found = _VARIABLE.match(self.text, start, end)
        if found is None:
            return None
        name, act = found["name"], found["act"]
        if act in ("=", "?="):
            return Assign(name, self.span(found.end(), end, depth), now=bool(found["now"]), only_new=act == "?=")
        otherwise = self.span(found.end("act"), end, depth) if act == ":" else None
        return Read(name, otherwise, self.text[start - 2 : end + 1])

    def _wrap(self, start: int, end: int, depth: int) -> Wrap | None:
        _, dollars = self._divisions(start, end)
        if not dollars or "..." not in self.text[start : dollars[0]]:
            return None
        return Wrap(self.span(start, dollars[0], depth), self.span(dollars[0] + 2, end, depth))


def _wildcard(found: re.Match[str]) -> Wildcard:
    bindings = tuple((name, parse(value.strip())) for name, value in _BINDING.findall(found["bindings"] or ""))
    method = _METHODS.get(found["method"] or "")
    return Wildcard(found["name"].strip().replace("\\", "/"), method, bindings, found[0])
