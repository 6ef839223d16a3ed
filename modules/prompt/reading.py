"""How a prompt was read, as plain data for the page: parts, steps, chunks, weights, tags, comments and notices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from modules.prompt.attention import read_attention
from modules.prompt.chunks import CHUNK_LENGTH, Chunk, chunk_prompt
from modules.prompt.comments import Commented, read_comments
from modules.prompt.composable import Composition, read_composition
from modules.prompt.networks import NetworkTag, extract_networks
from modules.prompt.notices import PromptNotice
from modules.prompt.plan import active_text
from modules.prompt.scheduling import is_literal, schedule
from modules.prompt.tokens import Tokenizer
from modules.prompt.whole import WholeReader
from modules.settings.choices import Emphasis


@dataclass(frozen=True, slots=True)
class Run:
    """Tokens of one weight in a row; `embedding` says that they are the vectors of a textual inversion."""

    text: str
    weight: float
    tokens: int
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class ChunkReading:
    """One chunk: its runs, and how many of the 75 places they fill."""

    runs: tuple[Run, ...]
    length: int


@dataclass(frozen=True, slots=True)
class TextReading:
    """One text of a schedule: the model's calls that use it, as ranges counted from 1, and its chunks.

    `calls` is empty for a text that a schedule holds but no call reaches. A text that is read whole has no chunks: it
    is `message`, of which `limit` tokens count.
    """

    text: str
    calls: tuple[tuple[int, int], ...]
    chunks: tuple[ChunkReading, ...]
    token_count: int
    limit: int
    message: str = ""


@dataclass(frozen=True, slots=True)
class PartReading:
    """One AND part: its weight and its texts, each once, in the order of first use."""

    weight: float
    texts: tuple[TextReading, ...]


@dataclass(frozen=True, slots=True)
class PromptReading:
    """A whole prompt as it was read."""

    parts: tuple[PartReading, ...]
    tags: tuple[NetworkTag, ...]
    embeddings: tuple[str, ...]
    comments: tuple[str, ...]
    notices: tuple[PromptNotice, ...]


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """The request's and the settings' say in how a prompt is read; `steps` count calls of the model."""

    steps: int
    hires_steps: int | None = None
    old: bool = False
    emphasis: Emphasis = "Original"
    comma_padding_backtrack: int = 20
    comments: bool = True


def read_prompt(
    text: str,
    tokenizer: Tokenizer | WholeReader,
    options: ReadingOptions,
    embeddings: Mapping[str, int] | None = None,
    negative: bool = False,
) -> PromptReading:
    """How a prompt, styles merged in, is read for one pass. In a negative prompt tags, AND and its weights are text."""
    commented = read_comments(text) if options.comments else Commented(text, (), ())
    if negative:
        tags: list[NetworkTag] = []
        composition = Composition(((commented.text, 1.0),), ())
    else:
        bare, tags = extract_networks(commented.text)
        composition = read_composition(bare)
    reader = _PromptReader(tokenizer, options, embeddings or {})
    parts = tuple(reader.part(part, weight) for part, weight in composition.parts)
    notices = (*commented.notices, *composition.notices, *reader.notices)
    if negative and extract_networks(commented.text)[1]:
        message = "A tag like <lora:…> does nothing in a negative prompt: it is read as words."
        notices += (PromptNotice("tag-in-negative", message),)
    return PromptReading(parts, tuple(tags), tuple(reader.used), commented.comments, tuple(dict.fromkeys(notices)))


class _PromptReader:
    """Reads parts, and gathers what concerns the prompt as a whole."""

    def __init__(
        self, tokenizer: Tokenizer | WholeReader, options: ReadingOptions, embeddings: Mapping[str, int]
    ) -> None:
        self.tokenizer = tokenizer
        self.options = options
        self.embeddings = embeddings
        self.notices: list[PromptNotice] = []
        self.used: dict[str, None] = {}

    def part(self, text: str, weight: float) -> PartReading:
        options = self.options
        if is_literal(text):
            message = (
                "Square brackets are text here: a “|” outside of [a|b] or a “\\” at a line's end prevents editing."
            )
            self.notices.append(PromptNotice("literal-brackets", message))
        entries = schedule(text, options.steps, options.hires_steps, options.old)
        calls: dict[str, list[int]] = {active: [] for _, active in entries}
        total = options.steps if options.hires_steps is None else options.hires_steps
        for call in range(total):
            calls[active_text(entries, call)].append(call + 1)
        return PartReading(weight, tuple(self._text(active, served) for active, served in calls.items()))

    def _text(self, text: str, calls: Sequence[int]) -> TextReading:
        options = self.options
        if isinstance(self.tokenizer, WholeReader):
            return self._message(text, calls, self.tokenizer)
        if options.emphasis != "None":
            self.notices.extend(read_attention(text).notices)
        tokenizer = self.tokenizer
        prompt = chunk_prompt(text, tokenizer, options.emphasis, options.comma_padding_backtrack, self.embeddings)
        self.used.update(dict.fromkeys(prompt.embeddings_used))
        chunks = tuple(ChunkReading(self._runs(chunk, tokenizer), chunk.length) for chunk in prompt.chunks)
        return TextReading(text, tuple(_ranges(calls)), chunks, prompt.token_count, prompt.limit)

    def _message(self, text: str, calls: Sequence[int], tokenizer: WholeReader) -> TextReading:
        if tokenizer.weighs and self.options.emphasis != "None":
            self.notices.extend(read_attention(text).notices)
        prompt = tokenizer.read(text, self.options.emphasis)
        if prompt.lost_weights:
            message = "This checkpoint reads a text as a whole: weights like (word:1.2) are left out, the words stay."
            self.notices.append(PromptNotice("no-weights", message))
        if prompt.cut:
            message = f"Of this text the last {prompt.cut} tokens are beyond the {tokenizer.longest} that count."
            self.notices.append(PromptNotice("cut", message))
        return TextReading(
            text, tuple(_ranges(calls)), (), len(prompt.ids) + prompt.cut, tokenizer.longest, prompt.text
        )

    def _runs(self, chunk: Chunk, tokenizer: Tokenizer) -> tuple[Run, ...]:
        """The chunk's tokens in runs of one weight, each textual inversion as a run of its own."""
        holders: dict[int, tuple[int, str]] = {}
        for offset, name in chunk.embeddings:
            vectors = min(self.embeddings[name], CHUNK_LENGTH)
            holders.update((place, (offset, name)) for place in range(offset, offset + vectors))
        places = groupby(range(1, chunk.length + 1), lambda place: (holders.get(place), chunk.multipliers[place]))
        return tuple(_run(chunk, list(group), holder, weight, tokenizer) for (holder, weight), group in places)


def _run(chunk: Chunk, places: list[int], holder: tuple[int, str] | None, weight: float, tokenizer: Tokenizer) -> Run:
    words = tokenizer.words([chunk.tokens[place] for place in places])
    text = holder[1] if holder else "".join(words).strip()
    return Run(text, weight, len(places), holder is not None)


def _ranges(calls: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as ranges (first, last)."""
    ranges: list[tuple[int, int]] = []
    for call in calls:
        if ranges and ranges[-1][1] == call - 1:
            ranges[-1] = (ranges[-1][0], call)
        else:
            ranges.append((call, call))
    return ranges
