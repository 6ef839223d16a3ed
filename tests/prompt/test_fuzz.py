"""Nasty prompts by the hundred thousand, and by the megabyte: none may raise, and none may be slow."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modules.prompt import (
    BREAK,
    ReadingOptions,
    chunk_prompt,
    clip_tokenizer,
    count_tokens,
    extract_networks,
    parse_attention,
    plan_conditioning,
    read_prompt,
    schedule,
    split_composable,
    strip_comments,
)
from tests.amounts import amount, some

PROMPTS = amount(3_000, 110_000)
SLOW = 0.5
"""Seconds of processor time that no single generated prompt may take."""

LENGTH = amount(100_000, 1_000_000)
LIMIT = 2.0
"""Seconds of processor time for a megabyte: under one on a quiet machine, but machines that test are rarely quiet.

For the tenth of one that every run reads it is long; what is quadratic takes minutes for that, too."""

FRAGMENTS = [
    *"()[]{}<>:|\\#,.!? \n\t\r_-+*/='\"",
    *[
        "a",
        "cat",
        "BREAK",
        " BREAK ",
        "AND",
        " AND ",
        " :1.2 AND ",
        "[a:b:3]",
        "[a|b]",
        "(a:1.2)",
        "((",
        "))",
        "[[",
        "]]",
    ],
    *[
        ":0.5]",
        ":3]",
        ":-1]",
        ":+2.]",
        ":1e9]",
        ":1e999)",
        ":.)",
        ":1.2.3)",
        ": 5 ]",
        "::",
        "|]",
        "[|",
        "[:",
        ":]",
        "\\[",
        "\\",
    ],
    *[
        "<lora:x:1>",
        "<lora:",
        "<:>",
        "<a:b=c:d>",
        "# note",
        "#ff0000",
        "#f0f",
        "\n#",
        "easynegative",
        "bad hands",
        "16:9",
    ],
    *[
        "0",
        "5",
        "1.5",
        "٣",
        "９",
        "é",
        "ß",
        "İ",
        "Σ",
        "日本",
        "😀",
        "👩‍👧",
        "\u200b",
        "\u00a0",
        "\u3000",
        "\x00",
        "\x1c",
        "\ufeff",
    ],
    *["\ud800", "\u0301", "’", "“", "ﬁ", "&amp;", "{prompt}", "<|endoftext|>", "__a__", "word " * 40, "a, " * 30],
]
EMBEDDINGS = {"EasyNegative": 8, "bad hands": 3, "bad": 75, "": 2}


def prompts(count: Any, seed: Any) -> Iterator[Any]:
    choice = random.Random(seed)
    for _ in range(count):
        yield "".join(choice.choices(FRAGMENTS, k=choice.randrange(16))), choice


def check_language(text: Any, choice: Any) -> None:
    assert parse_attention(text)
    left, tags = extract_networks(strip_comments(text))
    assert len(left) <= len(text) + 1
    assert all(tag.kind for tag in tags)
    steps = choice.randrange(1, 30)
    hires_steps = choice.choice([None, None, choice.randrange(1, 30)])
    old = choice.random() < 0.2
    for part, weight in split_composable(left):
        assert weight == weight
        last_steps = [last for last, _ in schedule(part, steps, hires_steps, old)]
        assert last_steps == sorted(set(last_steps))
        assert last_steps[-1] == (steps if old or hires_steps is None else hires_steps)
        assert last_steps[0] >= 1


def check_chunks(text: Any, choice: Any) -> None:
    backtrack = choice.choice([0, 5, 20, 75])
    emphasis = choice.choice(["Original", "No norm", "Ignore", "None"])
    prompt = chunk_prompt(text, clip_tokenizer(), emphasis, backtrack, EMBEDDINGS)
    assert all(len(chunk.tokens) == len(chunk.multipliers) == 77 for chunk in prompt.chunks)
    if choice.random() < 0.2:
        count, limit = count_tokens(text, clip_tokenizer(), 4, embeddings=EMBEDDINGS)
        assert 0 <= count <= limit
        assert read_prompt(text, clip_tokenizer(), ReadingOptions(4), EMBEDDINGS, choice.random() < 0.3).parts
        assert plan_conditioning([text], [text], 4).batches


def test_no_prompt_fails_or_is_slow() -> None:
    slowest = ("", 0.0)
    for index, (text, choice) in enumerate(prompts(PROMPTS, seed=20)):
        start = time.process_time()
        check_language(text, choice)
        if index % 40 == 0:
            check_chunks(text, choice)
        slowest = max(slowest, (text, time.process_time() - start), key=lambda case: case[1])
    assert index + 1 == PROMPTS
    assert slowest[1] < SLOW, slowest


HALF = amount(5_000, 50_000)
FAMILIES = [
    *[
        "(",
        "[",
        "{",
        "<",
        ":",
        "|",
        "\\",
        ")",
        "]",
        ">",
        "#",
        "\n",
        " ",
        "\x00",
        "()",
        "[]",
        "[(",
        "([",
        "(a",
        "[a",
        "(a:",
        "[a:",
    ],
    *[
        "(a:1.1)",
        "(:1",
        ":1.1)",
        ": ",
        "[::",
        "[a:b:3]",
        "[a::1]",
        "[[a:b:1]",
        "\\(",
        "a\\",
        "BREAK ",
        "a AND ",
        " :1.2 ",
        "::",
    ],
    *["<lora:", "<lora:x>", "<a:>", "# x\n", "\n#", "#fff", "a,", "[a|", "a|"],
]


def seconds(text: Any) -> Any:
    """Processor time of the slowest of the readers."""
    times = []
    for read in (parse_attention, lambda text: schedule(text, 20), split_composable, extract_networks, strip_comments):
        start = time.process_time()
        read(text)
        times.append(time.process_time() - start)
    return max(times)


@pytest.mark.parametrize("family", some(["(", "[", "{", "<", ":", "|", "\\", ")", "]", "()", "[]", "[("], 4))
def test_long_texts_of_brackets(family: str) -> None:
    text = family * (LENGTH // len(family))
    assert seconds(text) < LIMIT or seconds(text) < LIMIT


@pytest.mark.parametrize("closers", some(["", "]", ":3]"], 2))
@pytest.mark.parametrize("family", some(FAMILIES, 25))
def test_time_is_linear(family: Any, closers: str) -> None:
    """Ten kilobytes (a hundred in the long suite), of which anything quadratic makes seconds."""
    text = family * (HALF // len(family)) + closers * (HALF // len(closers) if closers else 0)
    # Once more where others held the caches meanwhile; what is quadratic is slow each time.
    assert seconds(text) < LIMIT / 4 or seconds(text) < LIMIT


def test_weights_of_many_brackets() -> None:
    parts = parse_attention("(a" * amount(60_000, 300_000))
    assert [text for text, _ in parts[:2]] == ["a", "a"]
    assert [weight for _, weight in parts[:2]] == pytest.approx([1.1, 1.21])
    assert BREAK not in parts
