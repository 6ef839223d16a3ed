"""Chunks as they were before A1111 1.0, for pictures of that time: `use_old_emphasis_implementation`.

Behaviour reproduced: AUTOMATIC1111 v1.10.1 with that option. Brackets are found among the tokens rather than in the
text: one that a token holds changes the weight of all that follows, until its partner undoes it. Numbers (`:1.2`),
backslashes and BREAK are text like any other, and what does not fit into one chunk is cut off.
"""

from collections.abc import Mapping
from typing import Protocol

from modules.prompt.chunks import (
    CHUNK_LENGTH,
    Chunk,
    ChunkedPrompt,
    Encoder,
    embeddings_among,
    names_by_first_token,
)
from modules.prompt.tokens import END, START
from modules.settings.choices import Emphasis

_FACTORS = {"(": 1.1, ")": 1 / 1.1, "[": 1 / 1.1, "]": 1.1}


class BracketEncoder(Encoder, Protocol):
    """A tokenizer that also knows which of its tokens hold brackets."""

    def bracketed(self) -> Mapping[int, str]:
        """The text of each token with a bracket in it."""
        ...


def bracket_factor(word: str) -> float:
    """What a token does to the weight of those behind it; 1.0 if its brackets undo each other."""
    factor = 1.0
    for char in word:
        factor *= _FACTORS.get(char, 1.0)
    return factor


def chunk_prompt_as_before(
    text: str,
    tokenizer: BracketEncoder,
    emphasis: Emphasis = "Original",
    embeddings: Mapping[str, int] | None = None,
    padding: int = END,
) -> ChunkedPrompt:
    """One text of a schedule as the single chunk it was then. With emphasis "None" brackets are text.

    `embeddings` maps the name of each textual inversion to its number of vectors; `padding` is as in `chunk_prompt`.
    """
    vectors = embeddings or {}
    words = {} if emphasis == "None" else tokenizer.bracketed()
    tokens: list[int] = []
    multipliers: list[float] = []
    found: list[tuple[int, str]] = []
    weight = 1.0
    (ids,) = tokenizer.encode_all([text])
    for name, token in embeddings_among(ids, names_by_first_token(vectors, tokenizer)):
        factor = 1.0 if name else bracket_factor(words.get(token, ""))
        if factor != 1.0:
            weight *= factor
            continue
        length = vectors[name] if name else 1
        if name and len(tokens) < CHUNK_LENGTH:
            found.append((len(tokens) + 1, name))
        tokens += [0 if name else token] * length
        multipliers += [weight] * length
    return _one_chunk(tokens, multipliers, tuple(found), padding)


def _one_chunk(
    tokens: list[int], multipliers: list[float], found: tuple[tuple[int, str], ...], padding: int
) -> ChunkedPrompt:
    length = min(len(tokens), CHUNK_LENGTH)
    room = CHUNK_LENGTH - length
    chunk = Chunk(
        (START, *tokens[:length], END, *[padding] * room),
        (1.0, *multipliers[:length], *[1.0] * (room + 1)),
        found,
        length,
    )
    return ChunkedPrompt((chunk,), len(tokens), tuple(dict.fromkeys(name for _, name in found)))
