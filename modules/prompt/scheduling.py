"""Prompt editing and alternation: which text is encoded for which sampling step.

Behaviour reproduced: AUTOMATIC1111 v1.10.1, its counting of steps included. A construct counts only if everything
inside it is well-formed; brackets that are not stay text, and a `|` outside any construct makes all of the prompt text.
"""

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
      (?P<text> (?: [^\\\[\]():|] | \\[^\n] )++ )
    | (?P<open> [\[(] )
    | (?P<close> [\])] )
    | (?P<mark> [:|] )
    | (?P<stray> \\ )
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"\s*+([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)\s*+")


@dataclass(frozen=True, slots=True, eq=False)
class _Edit:
    """`[before:after:when]`: the first item until step `when`, the second from then on."""

    items: tuple["_Text", "_Text"]
    when: int

    def at(self, step: int) -> "_Text":
        return self.items[0] if step <= self.when else self.items[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Alternation:
    """`[a|b|c]`: the next item at every step."""

    items: tuple["_Text", ...]

    def at(self, step: int) -> "_Text":
        return self.items[(step - 1) % len(self.items)]


_Text = list["str | _Edit | _Alternation"]


@dataclass(frozen=True, slots=True)
class Clock:
    """How the number in `[from:to:when]` becomes a step of one sampling pass.

    Without `hires_steps` it is the first pass, with them the hires pass, whose steps follow on those of the first:
    there 30 means the 10th step after 20 of the first pass, and 1.5 half of the hires pass. `old` is the rule before
    version 1.6.0: numbers under 1 are fractions, others steps, and both passes count the first pass's steps.
    """

    base_steps: int
    hires_steps: int | None = None
    old: bool = False

    @property
    def steps(self) -> int:
        return self.base_steps if self.hires_steps is None or self.old else self.hires_steps

    def step_of(self, number: str) -> int:
        value = float(number)
        second_pass = self.hires_steps is not None
        if self.old:
            value = value * self.steps if value < 1 else value
        elif "." in number:
            value = (value - (1.0 if second_pass else 0.0)) * self.steps
        else:
            value -= self.base_steps if second_pass else 0
        return self.steps if value >= self.steps else int(max(-1.0, value))


def schedule(text: str, steps: int, hires_steps: int | None = None, old: bool = False) -> list[tuple[int, str]]:
    """The prompt as a list of (last step using it, text), ascending; with `hires_steps`, that of the hires pass.

    `[from:to:when]`, `[to:when]` and `[from::when]` switch after step `when`; `[a|b|c]` takes the next item at every
    step. Steps are counted from 1, and are the sampler's calls of the model: double the steps for a sampler of second
    order. The last entry's step is the pass's number of steps. What cannot be read is taken literally; never raises.
    """
    clock = Clock(steps, hires_steps, old)
    parsed = _parse(text, clock)
    if parsed is None:
        return [(clock.steps, text)]
    root, switches = parsed
    return [(step, _text_at(root, step)) for step in sorted(switches | {clock.steps})]


@dataclass(slots=True)
class _Bracket:
    """An open bracket: where its text begins in the output, and where the marks directly in it stand there."""

    closer: str
    start: int
    marks: list[int]


class _Parser:
    """One pass over a prompt's pieces, with a stack of open brackets; every piece is moved once, so time is linear."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.out: _Text = []
        self.open: list[_Bracket] = []
        self.switches: set[int] = set()
        self.readable = True

    def feed(self, kind: str | None, piece: str) -> None:
        if kind == "close" and self.open:
            self._close(piece)
            return
        if kind == "mark":
            self._mark(piece)
        self.out.append(piece)
        if kind == "open":
            self.open.append(_Bracket(")" if piece == "(" else "]", len(self.out), []))
        elif kind == "stray":
            self.readable = False

    def abandon(self) -> None:
        """None of the open brackets can be well-formed any more: what they hold stands outside any construct."""
        for bracket in self.open:
            self.readable = self.readable and all(self.out[mark] == ":" for mark in bracket.marks)
        self.open.clear()

    def _mark(self, piece: str) -> None:
        if self.open:
            self.open[-1].marks.append(len(self.out))
        elif piece == "|":
            self.readable = False

    def _close(self, closer: str) -> None:
        bracket = self.open[-1]
        marks = "".join(str(self.out[mark]) for mark in bracket.marks)
        if bracket.closer != closer:
            self.abandon()
        elif not marks or (closer == ")" and marks == ":"):
            self.open.pop()
        elif closer == "]" and self._replace(bracket, marks):
            self.open.pop()
            return
        else:
            self.abandon()
        self.out.append(closer)

    def _replace(self, bracket: _Bracket, marks: str) -> bool:
        """Put an edit or an alternation where its pieces stood; False if they are neither."""
        node = self._alternation(bracket) if "|" in marks else self._edit(bracket)
        if node is None:
            return False
        del self.out[bracket.start - 1 :]
        self.out.append(node)
        return True

    def _alternation(self, bracket: _Bracket) -> _Alternation | None:
        if any(self.out[mark] == ":" for mark in bracket.marks):
            return None
        self.switches.update(range(1, self.clock.steps + 1))
        return _Alternation(tuple(self._items(bracket)))

    def _edit(self, bracket: _Bracket) -> _Edit | None:
        *items, when = self._items(bracket)
        number = _NUMBER.fullmatch(when[0]) if len(when) == 1 and isinstance(when[0], str) else None
        if number is None or len(items) > 2:
            return None
        step = self.clock.step_of(number.group(1))
        if step >= 1:
            self.switches.add(step)
        before, after = items if len(items) == 2 else ([], items[0])
        return _Edit((before, after), step)

    def _items(self, bracket: _Bracket) -> list[_Text]:
        """What stands between the marks of a bracket."""
        starts = [bracket.start, *(mark + 1 for mark in bracket.marks)]
        return [self.out[start:end] for start, end in zip(starts, [*bracket.marks, len(self.out)], strict=True)]


def _parse(text: str, clock: Clock) -> tuple[_Text, set[int]] | None:
    """The prompt with its constructs in place, and the steps at which they switch; None if it cannot be read."""
    parser = _Parser(clock)
    for match in _PIECE.finditer(text):
        parser.feed(match.lastgroup, match.group())
        if not parser.readable:
            return None
    parser.abandon()
    return (parser.out, parser.switches) if parser.readable else None


def _text_at(root: _Text, step: int) -> str:
    """The text of one step. Constructs nest as deep as a prompt is long, so the stack is ours and not Python's."""
    parts: list[str] = []
    pending = [iter(root)]
    while pending:
        for piece in pending[-1]:
            if isinstance(piece, str):
                parts.append(piece)
            else:
                pending.append(iter(piece.at(step)))
                break
        else:
            pending.pop()
    return "".join(parts)
