"""Drawing prompts of templates: one by chance, or every one that there is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from modules.prompt.dynamic.syntax import Alternative, Assign, Method, Read, Template, Variants, Wildcard, Wrap

# The alternatives of the wildcards of a name; none where there is no such file.
Wildcards = Callable[[str], "Alternatives"]

# Wildcards that name each other in a circle end here, and so do templates that grow beyond all use.
_DEEPEST: Final = 40
_LONGEST: Final = 200_000
_MOST_STEPS: Final = 200_000


class DynamicPromptError(ValueError):
    """A template that would become too long. The message is one sentence."""


class Alternatives(Protocol):
    """Texts of which one is chosen: there may be a million, so each is read as a template when it is."""

    @property
    def weights(self) -> Sequence[float] | None:
        """How likely each is; None where all are alike."""

    def __len__(self) -> int: ...

    def template(self, index: int) -> Template:
        """The alternative of that number."""


@dataclass(frozen=True, slots=True)
class _Written:
    """The alternatives that stand in a template."""

    alternatives: tuple[Alternative, ...]

    @property
    def weights(self) -> Sequence[float] | None:
        weights = [alternative.weight for alternative in self.alternatives]
        return weights if any(weight != weights[0] for weight in weights) else None

    def __len__(self) -> int:
        return len(self.alternatives)

    def template(self, index: int) -> Template:
        return self.alternatives[index].template


@dataclass(frozen=True, slots=True)
class Drawn:
    """A text for each template, and sentences about what could not be drawn."""

    texts: tuple[str, ...]
    notices: tuple[str, ...]


class _Chooser(Protocol):
    def pick(self, number: int, weights: Sequence[float] | None, method: Method | None) -> int:
        """The index of one of so many things, which are as likely as they weigh; there is at least one."""


def draw(templates: Sequence[Template], wildcards: Wildcards, rng: random.Random, turn: int = 0) -> Drawn:
    """A text of each template, by chance. Variables that one sets the next ones know.

    Alternatives that go in turn (`@`) or through all of them (`!`) go by `turn`, the number of the picture. Raises
    DynamicPromptError.
    """
    return _Drawing(_ByChance(rng, turn), wildcards).texts(templates)


def every_product(templates: Sequence[Template], wildcards: Wildcards, rng: random.Random) -> Iterator[Drawn]:
    """Every text that the templates can give, the first alternatives first; what is to be random (`~`) is drawn anew.

    Each is found by the decisions that lead to it: the last one that has another way takes it, and what came behind
    begins anew. Raises DynamicPromptError.
    """
    decisions: list[tuple[int, int]] = []
    for turn in count():
        chooser = _ByDecisions(rng, turn, decisions)
        yield _Drawing(chooser, wildcards).texts(templates)
        decisions = chooser.made
        while decisions and decisions[-1][0] + 1 >= decisions[-1][1]:
            decisions.pop()
        if not decisions:
            return
        chosen, of = decisions[-1]
        decisions[-1] = chosen + 1, of


@dataclass(slots=True)
class _ByChance:
    rng: random.Random
    turn: int
    # What is left of the turn behind the choices that go through all of their alternatives: each is one of its digits.
    rest: int | None = None

    def pick(self, number: int, weights: Sequence[float] | None, method: Method | None) -> int:
        if method == "cyclical":
            return self.turn % number
        if method == "combinatorial":
            self.rest, digit = divmod(self.turn if self.rest is None else self.rest, number)
            return digit
        if weights is None or sum(weights) <= 0:
            return self.rng.randrange(number)
        return self.rng.choices(range(number), weights)[0]


@dataclass(slots=True)
class _ByDecisions:
    rng: random.Random
    turn: int
    given: list[tuple[int, int]]
    made: list[tuple[int, int]] = field(default_factory=list)

    def pick(self, number: int, weights: Sequence[float] | None, method: Method | None) -> int:
        if method in ("random", "cyclical"):
            return _ByChance(self.rng, self.turn).pick(number, weights, method)
        place = len(self.made)
        chosen = self.given[place][0] if place < len(self.given) else 0
        self.made.append((chosen, number))
        return chosen


@dataclass(slots=True)
class _Drawing:
    """One text being drawn. `values` are of variables: a text, or a template that is drawn at each use."""

    chooser: _Chooser
    wildcards: Wildcards
    values: dict[str, str | Template] = field(default_factory=dict)
    notices: dict[str, None] = field(default_factory=dict)
    steps: int = 0

    def texts(self, templates: Sequence[Template]) -> Drawn:
        texts = tuple(self._text(template, 0) for template in templates)
        return Drawn(texts, tuple(self.notices))

    def _text(self, template: Template, depth: int) -> str:
        parts = []
        length = 0
        for node in template:
            self.steps += 1
            part = node if isinstance(node, str) else self._of(node, depth)
            parts.append(part)
            length += len(part)
            if length > _LONGEST or self.steps > _MOST_STEPS:
                raise DynamicPromptError(
                    f"A dynamic prompt grows beyond {_LONGEST:,} characters: its wildcards or variables repeat each "
                    "other."
                )
        return "".join(parts)

    def _of(self, node: Variants | Wildcard | Assign | Read | Wrap, depth: int) -> str:
        match node:
            case Variants():
                return self._choice(node, depth)
            case Wildcard():
                return self._wildcard(node, depth)
            case Assign():
                self._assign(node.name, node.template, depth, now=node.now, only_new=node.only_new)
                return ""
            case Read():
                return self._read(node, depth)
        return self._text(node.around, depth).replace("...", self._text(node.inner, depth), 1)

    def _choice(self, choice: Variants, depth: int) -> str:
        alternatives: Alternatives = _Written(choice.alternatives)
        bindings: tuple[tuple[str, Template], ...] = ()
        if choice.high != 1 and len(alternatives) == 1 and len(only := alternatives.template(0)) == 1:
            # "{2$$__w__}" are two of what the wildcard has.
            node = only[0]
            if isinstance(node, Wildcard) and len(inside := self.wildcards(node.name)):
                alternatives, bindings = inside, node.bindings
        high = len(alternatives) if choice.high is None else min(choice.high, len(alternatives))
        low = min(choice.low, high)
        number = low + (self.chooser.pick(high - low + 1, None, choice.method) if high > low else 0)
        with self._bound(bindings):
            return choice.separator.join(
                self._text(alternatives.template(index), depth + 1)
                for index in self._indices(alternatives, number, choice.method)
            )

    def _indices(self, alternatives: Alternatives, number: int, method: Method | None) -> Iterator[int]:
        """So many of the alternatives, none of them twice."""
        if number == 1:
            yield self.chooser.pick(len(alternatives), alternatives.weights, method)
            return
        left, weights = list(range(len(alternatives))), list(alternatives.weights or ())
        for _ in range(number):
            place = self.chooser.pick(len(left), weights or None, method)
            if weights:
                del weights[place]
            yield left.pop(place)

    def _wildcard(self, wildcard: Wildcard, depth: int) -> str:
        if depth >= _DEEPEST:
            self.notices[f"The wildcard {wildcard.text[:80]} leads back to itself: it was left as it stands."] = None
            return wildcard.text
        alternatives = self.wildcards(wildcard.name)
        if len(alternatives) == 0:
            self.notices[f"There is no wildcard {wildcard.name[:80]!r}: it was left as it stands."] = None
            return wildcard.text
        with self._bound(wildcard.bindings):
            index = self.chooser.pick(len(alternatives), alternatives.weights, wildcard.method)
            return self._text(alternatives.template(index), depth + 1)

    def _assign(self, name: str, template: Template, depth: int, *, now: bool, only_new: bool = False) -> None:
        if not (only_new and name in self.values):
            self.values[name] = self._text(template, depth + 1) if now else template

    @contextmanager
    def _bound(self, bindings: Sequence[tuple[str, Template]]) -> Iterator[None]:
        """While open, these variables have another value."""
        before = {name: self.values.get(name) for name, _ in bindings}
        self.values |= dict(bindings)
        yield
        for name, value in before.items():
            if value is None:
                self.values.pop(name, None)
            else:
                self.values[name] = value

    def _read(self, read: Read, depth: int) -> str:
        value = self.values.get(read.name, read.otherwise)
        if value is None:
            return read.text
        if isinstance(value, str):
            return value
        if depth >= _DEEPEST:
            self.notices[f"The variable {read.text[:80]} leads back to itself: it was left as it stands."] = None
            return read.text
        return self._text(value, depth + 1)
