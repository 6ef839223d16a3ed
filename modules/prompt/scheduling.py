"""Prompt editing and alternation: which text is encoded for which sampling step.

Behaviour reproduced: AUTOMATIC1111 v1.10.1, its counting of steps included. A construct counts only if everything
inside it is well-formed; brackets that are not stay text, and a `|` outside any construct makes all of the prompt text.
"""

import re
from dataclasses import dataclass

_PIECE = re.compile(r"(?:[^\\\[\]():|]|\\[^\n])++|.", re.DOTALL)
"""A run of plain text, in which a backslash escapes any character but the end of a line, or one other character."""

_NUMBER = re.compile(r"\s*+([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)\s*+")


@dataclass(frozen=True, slots=True, eq=False)
class _Edit:
    """`[before:after:when]`: the first item until step `when`, the second from then on."""

    before: "_Text"
    after: "_Text"
    when: int

    def at(self, step: int) -> "_Text":
        return self.before if step <= self.when else self.after


@dataclass(frozen=True, slots=True, eq=False)
class _Alternation:
    """`[a|b|c]`: the next item at every step."""

    items: tuple["_Text", ...]

    def at(self, step: int) -> "_Text":
        return self.items[(step - 1) % len(self.items)]


_PromptPiece = str | _Edit | _Alternation
_Text = _PromptPiece | list[_PromptPiece]


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
    parser = _ScheduleParser(clock)
    parser.parse(text)
    if not parser.readable:
        return [(clock.steps, text)]
    switches = range(1, clock.steps + 1) if parser.periods else parser.switches
    return [(step, parser.text_at(step)) for step in sorted({*switches, clock.steps})]


def is_literal(text: str) -> bool:
    """Whether a prompt with square brackets is taken literally as a whole, by a `|` or `\\` in the wrong place."""
    parser = _ScheduleParser(Clock(1))
    parser.parse(text)
    return not parser.readable and "[" in text and "]" in text


class _ScheduleParser:
    """One pass over a prompt's pieces, with a stack of open brackets; every piece is moved once, so time is linear."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.out: list[_PromptPiece] = []
        self.open: list[tuple[str, int, int]] = []
        """Of each open bracket its closer, where its text begins in `out`, and its marks in `marks`."""
        self.marks: list[int] = []
        """Where in `out` the `:` and `|` of the open brackets stand; those of closed ones are taken away."""
        self.switches: set[int] = set()
        self.periods: set[int] = set()
        """How many items the alternations have: steps that agree in the remainders take the same ones."""
        self.texts: dict[tuple[int, ...], str] = {}
        self.readable = True

    def parse(self, text: str) -> None:
        handlers = {
            **dict.fromkeys("([", self._opened),
            **dict.fromkeys(")]", self._closed),
            **dict.fromkeys(":|", self._marked),
            "\\": self._stray,
        }
        for piece in _PIECE.findall(text):
            handler = handlers.get(piece)
            if handler is None:
                self.out.append(piece)
            else:
                handler(piece)
                if not self.readable:
                    return
        self._abandon()

    def text_at(self, step: int) -> str:
        """The text of one step, made once for all steps at which every construct chooses the same."""
        switched = sum(switch < step for switch in self.switches)
        choices = (switched, *(step % period for period in self.periods))
        if choices not in self.texts:
            self.texts[choices] = _text_at(self.out, step)
        return self.texts[choices]

    def _opened(self, bracket: str) -> None:
        self.out.append(bracket)
        self.open.append((")" if bracket == "(" else "]", len(self.out), len(self.marks)))

    def _marked(self, mark: str) -> None:
        if self.open:
            self.marks.append(len(self.out))
        else:
            self.readable = mark == ":"
        self.out.append(mark)

    def _stray(self, backslash: str) -> None:
        self.readable = False

    def _closed(self, closer: str) -> None:
        if not self.open:
            self.out.append(closer)
            return
        expected, start, first_mark = self.open[-1]
        marks = self.marks[first_mark:]
        node = self._construct(start, marks) if closer == expected == "]" and marks else None
        if node is not None:
            del self.out[start - 1 :]
            self.out.append(node)
        else:
            self.out.append(closer)
        if node is not None or (closer == expected and self._is_emphasis(closer, marks)):
            self.open.pop()
            del self.marks[first_mark:]
        else:
            self._abandon()

    def _is_emphasis(self, closer: str, marks: list[int]) -> bool:
        return not marks or (closer == ")" and len(marks) == 1 and self.out[marks[0]] == ":")

    def _abandon(self) -> None:
        """None of the open brackets can be well-formed any more: what they hold stands outside any construct."""
        self.readable = self.readable and all(self.out[mark] == ":" for mark in self.marks)
        self.open.clear()
        self.marks.clear()

    def _construct(self, start: int, marks: list[int]) -> _Edit | _Alternation | None:
        """The edit or alternation that begins at `start` and has these marks; None if it is neither."""
        kinds = {self.out[mark] for mark in marks}
        if kinds == {"|"}:
            self.periods.add(len(marks) + 1)
            return _Alternation(tuple(self._items(start, marks)))
        if kinds != {":"} or len(marks) > 2:
            return None
        *items, when = self._items(start, marks)
        number = _NUMBER.fullmatch(when) if isinstance(when, str) else None
        if number is None:
            return None
        step = self.clock.step_of(number.group(1))
        if step >= 1:
            self.switches.add(step)
        return _Edit(items[0] if len(items) == 2 else "", items[-1], step)

    def _items(self, start: int, marks: list[int]) -> list[_Text]:
        """What stands between the marks of a bracket."""
        starts = [start, *(mark + 1 for mark in marks)]
        return [_joined(self.out[begin:end]) for begin, end in zip(starts, [*marks, len(self.out)], strict=True)]


def _joined(pieces: list[_PromptPiece]) -> _Text:
    """The pieces as one text, if there is nothing in them that changes from step to step."""
    if len(pieces) == 1:
        return pieces[0]
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "".join(texts) if len(texts) == len(pieces) else pieces


def _text_at(root: list[_PromptPiece], step: int) -> str:
    """The text of one step. Constructs nest as deep as a prompt is long, so the stack is ours and not Python's."""
    parts: list[str] = []
    pending: list[_Text] = [root]
    while pending:
        piece = pending.pop()
        while not isinstance(piece, (str, list)):
            piece = piece.at(step)
        if isinstance(piece, str):
            parts.append(piece)
        else:
            pending.extend(reversed(piece))
    return "".join(parts)
