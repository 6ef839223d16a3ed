from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import chunk_prompt, clip_tokenizer, empty_chunk
from modules.prompt.tokens import END, START

CAT, DOG, COMMA = 2368, 1929, 267


def chunked(text: Any, **options: Any) -> Any:
    return chunk_prompt(text, clip_tokenizer(), **options)


def lengths(text: Any, **options: Any) -> Any:
    return [chunk.length for chunk in chunked(text, **options).chunks]


def test_one_chunk() -> None:
    prompt = chunked("(cat:1.5) dog")
    (chunk,) = prompt.chunks
    assert chunk.tokens == (START, CAT, DOG, *[END] * 74)
    assert chunk.multipliers == (1.0, 1.5, *[1.0] * 75)
    assert (prompt.token_count, prompt.limit, prompt.embeddings_used) == (2, 75, ())


def test_an_empty_prompt_is_one_empty_chunk() -> None:
    prompt = chunked("")
    assert prompt.chunks == (empty_chunk(),)
    assert (prompt.token_count, prompt.limit) == (0, 75)


def test_padding_after_the_end_mark() -> None:
    assert chunked("cat", padding=0).chunks[0].tokens == (START, CAT, END, *[0] * 74)
    assert empty_chunk(0).tokens == chunked("", padding=0).chunks[0].tokens


@pytest.mark.parametrize(("count", "limit", "expected"), [(75, 75, [75]), (76, 150, [75, 1]), (151, 225, [75, 75, 1])])
def test_long_prompts(count: int, limit: int, expected: list[int]) -> None:
    prompt = chunked("cat " * count)
    assert [chunk.length for chunk in prompt.chunks] == expected
    assert (prompt.token_count, prompt.limit) == (count, limit)
    assert all(chunk.tokens[0] == START and chunk.tokens[-1] == END for chunk in prompt.chunks)


def test_break_fills_the_chunk() -> None:
    prompt = chunked("cat BREAK dog")
    assert [chunk.length for chunk in prompt.chunks] == [1, 1]
    assert (prompt.token_count, prompt.limit) == (76, 150)
    assert lengths("BREAK cat") == [0, 1]
    assert lengths("cat BREAK") == [1]
    assert chunked("cat BREAK").token_count == 75
    assert lengths("cat BREAK BREAK dog") == [1, 0, 1]
    assert lengths("(cat BREAK dog:1.2)") == [1, 1]


def test_backtrack_to_the_last_comma() -> None:
    text = "cat " * 60 + ", " + "dog " * 20
    assert lengths(text) == [61, 20]
    assert lengths(text, comma_padding_backtrack=0) == [75, 6]
    assert lengths(text, comma_padding_backtrack=14) == [75, 6]
    assert lengths(text, comma_padding_backtrack=15) == [61, 20]
    assert chunked(text).token_count == 75 + 20


def test_a_comma_that_opens_a_chunk_is_not_cut_at() -> None:
    text = "cat " * 75 + ", " + "dog " * 75
    assert lengths(text, comma_padding_backtrack=75) == [75, 75, 1]


def test_a_full_chunk_before_a_comma_is_not_cut() -> None:
    assert lengths("cat, " + "dog " * 73 + ", cat", comma_padding_backtrack=75) == [75, 2]


def test_weights_move_with_their_tokens() -> None:
    prompt = chunked("cat " * 60 + ", (" + "dog " * 20 + ":1.3)")
    assert prompt.chunks[1].multipliers[:22] == (1.0, *[1.3] * 20, 1.0)


def test_emphasis_modes() -> None:
    assert chunked("(cat:1.5)", emphasis="No norm").chunks[0].multipliers[1] == 1.5
    ignored = chunked("(cat:1.5) BREAK [dog]", emphasis="Ignore")
    assert [chunk.length for chunk in ignored.chunks] == [1, 1]
    assert all(weight == 1.0 for chunk in ignored.chunks for weight in chunk.multipliers)
    literal = chunked("(cat:1.5) BREAK dog", emphasis="None")
    ids = clip_tokenizer().encode("(cat:1.5) break dog")
    assert literal.chunks[0].tokens[1 : len(ids) + 1] == tuple(ids)
    assert len(literal.chunks) == 1


EMBEDDINGS = {"bad": 1, "bad hands": 4, "EasyNegative": 8, "full": 75, "huge": 80}


def test_embeddings_are_found_by_their_tokens() -> None:
    prompt = chunked("cat (easynegative:1.2), Bad Hands, bad dog, EasyNegative", embeddings=EMBEDDINGS)
    (chunk,) = prompt.chunks
    assert chunk.embeddings == ((2, "EasyNegative"), (11, "bad hands"), (16, "bad"), (19, "EasyNegative"))
    assert chunk.tokens[1:11] == (CAT, *[0] * 8, COMMA)
    assert chunk.multipliers[1:11] == (1.0, *[1.2] * 8, 1.0)
    assert prompt.embeddings_used == ("EasyNegative", "bad hands", "bad")
    assert prompt.token_count == 1 + 8 + 1 + 4 + 1 + 1 + 1 + 1 + 8


def test_embeddings_that_do_not_fit_start_a_chunk() -> None:
    prompt = chunked("cat " * 70 + "easynegative dog", embeddings=EMBEDDINGS)
    assert [chunk.length for chunk in prompt.chunks] == [70, 9]
    assert prompt.chunks[1].embeddings == ((1, "EasyNegative"),)
    assert prompt.token_count == 75 + 9


def test_embeddings_larger_than_a_chunk_are_cut() -> None:
    prompt = chunked("cat huge dog full", embeddings=EMBEDDINGS)
    assert [chunk.length for chunk in prompt.chunks] == [1, 75, 1, 75]
    assert all(len(chunk.tokens) == 77 for chunk in prompt.chunks)


def test_an_embedding_name_of_nothing_is_never_found() -> None:
    assert chunked("cat", embeddings={"": 3, " ": 2}).embeddings_used == ()


words = st.sampled_from(["cat", ",", "(dog:1.3)", "BREAK", "bad hands", "[", ")", "full", "a, b, c", "cat " * 30])


@given(st.lists(words, max_size=30).map(" ".join), st.sampled_from([0, 5, 20, 75]), st.sampled_from([{}, EMBEDDINGS]))
def test_every_chunk_is_whole(text: Any, backtrack: int, embeddings: Any) -> None:
    prompt = chunked(text, comma_padding_backtrack=backtrack, embeddings=embeddings)
    assert prompt.chunks
    assert all(len(chunk.tokens) == len(chunk.multipliers) == 77 for chunk in prompt.chunks)
    assert prompt.limit <= 75 * len(prompt.chunks)
    assert 75 * (len(prompt.chunks) - 1) <= prompt.token_count <= 75 * len(prompt.chunks)


@given(st.lists(words.filter(lambda word: word not in ("BREAK", "(dog:1.3)", "[", ")")), max_size=30).map(" ".join))
def test_no_token_is_lost(text: Any) -> None:
    prompt = chunked(text)
    tokens = [token for chunk in prompt.chunks for token in chunk.tokens[1 : chunk.length + 1]]
    assert tokens == clip_tokenizer().encode(text)
