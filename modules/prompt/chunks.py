"""Chunks: a prompt of any length as groups of 75 tokens, each encoded on its own, with a weight for every token.

Behaviour reproduced: AUTOMATIC1111 v1.10.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modules.prompt.attention import BREAK, parse_attention
from modules.prompt.tokens import END, START
from modules.settings.choices import Emphasis

CHUNK_LENGTH = 75
"""Tokens of a chunk between its start and its end mark."""


class Encoder(Protocol):
    """What chunking needs of a tokenizer."""

    @property
    def comma(self) -> int: ...

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one pass of the text encoder gets: 77 token ids, 77 weights, and which vectors replace which tokens.

    `embeddings` holds (offset, name): the vectors of textual inversion `name` stand from `offset` on, counted over the
    77 tokens, the start mark being 0; the ids there are 0. `length` counts the tokens that came from the prompt.
    """

    tokens: tuple[int, ...]
    multipliers: tuple[float, ...]
    embeddings: tuple[tuple[int, str], ...] = ()
    length: int = 0


@dataclass(frozen=True, slots=True)
class ChunkedPrompt:
    """A text as chunks (at least one), the count that the token counter shows, and the textual inversions in it."""

    chunks: tuple[Chunk, ...]
    token_count: int
    embeddings_used: tuple[str, ...] = ()

    @property
    def limit(self) -> int:
        """What the token counter shows behind the slash: room of the chunks that the count needs."""
        return -(-max(self.token_count, 1) // CHUNK_LENGTH) * CHUNK_LENGTH


def chunk_prompt(
    text: str,
    tokenizer: Encoder,
    emphasis: Emphasis = "Original",
    comma_padding_backtrack: int = 20,
    embeddings: Mapping[str, int] | None = None,
    padding: int = END,
) -> ChunkedPrompt:
    """One text of a schedule as chunks of tokens and weights.

    `embeddings` maps the name of each textual inversion to its number of vectors; names are found by their tokens, the
    longest first, and more than 75 vectors (on which A1111 fails) are cut to 75. A full chunk whose last comma lies at
    most `comma_padding_backtrack` tokens back is cut there. `padding` fills the rest of a chunk: the end mark for SD1
    and CLIP-L, 0 for OpenCLIP. With emphasis "Ignore" all weights are 1; with "None" brackets and BREAK are text.
    """
    parts = [(text, 1.0)] if emphasis == "None" else parse_attention(text)
    if emphasis == "Ignore":
        parts = [part if part == BREAK else (part[0], 1.0) for part in parts]
    builder = _Builder(tokenizer.comma, comma_padding_backtrack, padding)
    vectors = embeddings or {}
    names = names_by_first_token(vectors, tokenizer)
    for part, ids in zip(parts, tokenizer.encode_all([text for text, _ in parts]), strict=True):
        if part == BREAK:
            builder.end_chunk()
            continue
        for name, token in embeddings_among(ids, names):
            builder.add(name, token, part[1], min(vectors[name], CHUNK_LENGTH) if name else 1)
    return builder.finish()


def empty_chunk(padding: int = END) -> Chunk:
    """What stands in for a missing chunk when texts of different length are encoded together."""
    return Chunk((START, END, *[padding] * 75), (1.0,) * 77)


_Names = dict[int, list[tuple[list[int], str]]]


def names_by_first_token(embeddings: Mapping[str, int], tokenizer: Encoder) -> _Names:
    """The tokens of each textual inversion's name, by the first of them, the longest name first."""
    found: _Names = {}
    names = list(embeddings)
    for name, ids in zip(names, tokenizer.encode_all(names) if names else [], strict=True):
        if ids:
            found.setdefault(ids[0], []).append((ids, name))
    for candidates in found.values():
        candidates.sort(key=lambda candidate: -len(candidate[0]))
    return found


def embeddings_among(ids: list[int], names: _Names) -> Iterator[tuple[str, int]]:
    """The tokens in order as (name of the textual inversion or "", its first token)."""
    position = 0
    while position < len(ids):
        token = ids[position]
        candidates = names.get(token, ())
        name, length = next(
            ((name, len(word)) for word, name in candidates if ids[position : position + len(word)] == word), ("", 1)
        )
        yield name, token
        position += length


@dataclass(slots=True)
class _Builder:
    """The chunk being filled and those that are done."""

    comma: int
    backtrack: int
    padding: int
    tokens: list[int] = field(default_factory=list)
    multipliers: list[float] = field(default_factory=list)
    embeddings: list[tuple[int, str]] = field(default_factory=list)
    last_comma: int = -1
    count: int = 0
    done: list[Chunk] = field(default_factory=list)
    used: dict[str, None] = field(default_factory=dict)

    def add(self, name: str, token: int, weight: float, length: int) -> None:
        """Append a token, or the `length` vectors of the textual inversion `name`."""
        if token == self.comma:
            self.last_comma = len(self.tokens)
        elif self._is_full() and self.backtrack and 0 <= self.last_comma >= len(self.tokens) - self.backtrack:
            self._cut_after_comma()
        if self._is_full():
            self.end_chunk()
        if name:
            if len(self.tokens) + length > CHUNK_LENGTH:
                self.end_chunk()
            self.embeddings.append((len(self.tokens) + 1, name))
            self.used[name] = None
        self.tokens += [0 if name else token] * length
        self.multipliers += [weight] * length

    def end_chunk(self) -> None:
        """Close the chunk; whatever room it has left counts as used."""
        self.count += CHUNK_LENGTH
        self._store()

    def finish(self) -> ChunkedPrompt:
        if self.tokens or not self.done:
            self.count += len(self.tokens)
            self._store()
        return ChunkedPrompt(tuple(self.done), self.count, tuple(self.used))

    def _is_full(self) -> bool:
        return len(self.tokens) == CHUNK_LENGTH

    def _cut_after_comma(self) -> None:
        """Start the next chunk with what follows the last comma."""
        cut = self.last_comma + 1
        tokens, multipliers = self.tokens[cut:], self.multipliers[cut:]
        del self.tokens[cut:], self.multipliers[cut:]
        self.end_chunk()
        self.tokens, self.multipliers = tokens, multipliers

    def _store(self) -> None:
        length, room = len(self.tokens), CHUNK_LENGTH - len(self.tokens)
        tokens = (START, *self.tokens, END, *[self.padding] * room)
        multipliers = (1.0, *self.multipliers, *[1.0] * (room + 1))
        self.done.append(Chunk(tokens, multipliers, tuple(self.embeddings), length))
        self.tokens, self.multipliers, self.embeddings, self.last_comma = [], [], [], -1
