"""Emphasis as before A1111 1.0: brackets found among the tokens."""

from __future__ import annotations

from typing import Any

import pytest

from modules.prompt import clip_tokenizer
from modules.prompt.old_emphasis import bracket_factor, chunk_prompt_as_before
from modules.prompt.tokens import END, START


def weighed(text: str, **options: Any) -> list[tuple[str, float]]:
    """The words of the one chunk with their weights."""
    (chunk,) = chunk_prompt_as_before(text, clip_tokenizer(), **options).chunks
    inside = slice(1, 1 + chunk.length)
    words = clip_tokenizer().words(chunk.tokens[inside])
    return [(word.strip(), round(weight, 4)) for word, weight in zip(words, chunk.multipliers[inside], strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", [("a", 1), ("cat", 1)]),
        ("a (cat) dog", [("a", 1), ("cat", 1.1), ("dog", 1)]),
        ("a ((cat)) dog", [("a", 1), ("cat", 1.21), ("dog", 1)]),
        ("[cat] dog", [("cat", 0.9091), ("dog", 1)]),
        ("(cat dog", [("cat", 1.1), ("dog", 1.1)]),
        ("cat) dog", [("cat", 1), ("dog", 0.9091)]),
        ("(cat:1.2) dog", [("cat", 1.1), (":", 1.1), ("1", 1.1), (".", 1.1), ("2", 1.1), ("dog", 1)]),
        ("cat BREAK dog", [("cat", 1), ("break", 1), ("dog", 1)]),
    ],
)
def test_brackets_weigh_the_tokens_behind_them(text: str, expected: Any) -> None:
    assert weighed(text) == expected


def test_brackets_are_text_where_emphasis_is_off() -> None:
    assert weighed("(cat", emphasis="None") == [("(", 1.0), ("cat", 1.0)]


@pytest.mark.parametrize(
    ("word", "factor"), [("(</w>", 1.1), ("((", 1.21), (")", 0.9091), ("[", 0.9091), ("]:", 1.1), ("()", 1), ("cat", 1)]
)
def test_a_token_weighs_by_its_brackets(word: str, factor: float) -> None:
    assert bracket_factor(word) == pytest.approx(factor, abs=1e-4)


def test_there_is_one_chunk_and_the_rest_is_cut_off() -> None:
    prompt = chunk_prompt_as_before("cat " * 100, clip_tokenizer())
    (chunk,) = prompt.chunks
    assert (len(chunk.tokens), len(chunk.multipliers), chunk.length, prompt.token_count) == (77, 77, 75, 100)
    assert (chunk.tokens[0], chunk.tokens[-1], chunk.tokens[-2]) == (START, END, chunk.tokens[1])


def test_textual_inversions_stand_where_their_name_stood() -> None:
    prompt = chunk_prompt_as_before("a (ink) cat", clip_tokenizer(), embeddings={"ink": 3})
    (chunk,) = prompt.chunks
    assert chunk.embeddings == ((2, "ink"),) and prompt.embeddings_used == ("ink",)
    assert chunk.tokens[2:5] == (0, 0, 0) and chunk.multipliers[2:5] == (1.1, 1.1, 1.1)
    late = chunk_prompt_as_before("cat " * 80 + "ink", clip_tokenizer(), embeddings={"ink": 3})
    assert late.embeddings_used == ()
