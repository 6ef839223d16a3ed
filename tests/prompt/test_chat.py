"""Prompts for language models: Qwen's tokens, weights that are taken off, and where a text ends."""

from __future__ import annotations

import hashlib
import lzma
from importlib.resources import files

import pytest

from modules.prompt import ReadingOptions, count_tokens, read_prompt
from modules.prompt.chat import ChatReader, without_weights
from modules.prompt.qwen import VOCABULARY, qwen_tokenizer

# By the published tokenizer.json of Z-Image (tokenizers 0.22); 2,000 random texts of all scripts were equal too.
IDS = {
    "a cat": [64, 8251],
    "Здравствуй мир": [35451, 6949, 26988, 20200, 82580, 137144],
    "你好，世界 🐈\u200d⬛": [108386, 3837, 99489, 11162, 238, 230, 378, 235, 147788],
    "  two   spaces\n\n\tand tabs": [220, 1378, 256, 12621, 271, 52477, 22398],
    "<think>x</think>": [151667, 87, 151668],
    "e\u0301 NFC": [963, 47205],
    "I'm DON'T": [40, 2776, 44273, 17323],
    "1234567": [16, 17, 18, 19, 20, 21, 22],
    "": [],
}
WEIGHTS = {
    "a (red:1.3) cat": ("a red cat", True),
    "((red:1.2) big:0.8) cat": ("red big cat", True),
    "a cat (on a mat), f(x) [sic]": ("a cat (on a mat), f(x) [sic]", False),
    r"smile \(emoji\)": ("smile (emoji)", False),
    r"\(not:1.2\)": ("(not:1.2)", False),
    "at (10:30) sharp, (16:9), (day 2:30)": ("at (10:30) sharp, (16:9), (day 2:30)", False),
    "ratio 3:2, (a: b)": ("ratio 3:2, (a: b)", False),
    "(:1.2)": ("", True),
}


@pytest.mark.parametrize("text", IDS)
def test_ids_are_those_of_the_published_tokenizer(text: str) -> None:
    tokenizer = qwen_tokenizer()
    assert tokenizer.encode(text) == IDS[text]
    assert tokenizer.decode(IDS[text]) == text.replace("e\u0301", "é")


def test_the_vocabulary_is_the_published_one() -> None:
    packed = files("modules.prompt").joinpath("vocabulary", "qwen_merges.txt.xz").read_bytes()
    known = "8831e4f1a044471340f7c0a83d7bd71306a5b867e95fd870f74d0c5308a904d5"
    assert hashlib.sha256(lzma.decompress(packed)).hexdigest() == known
    assert qwen_tokenizer().encode("</think>") == [VOCABULARY - 1]


@pytest.mark.parametrize("text", WEIGHTS)
def test_weights_are_taken_off_and_plain_brackets_stay(text: str) -> None:
    assert without_weights(text) == WEIGHTS[text]


def test_a_text_is_a_message_and_ends_where_the_model_stops_reading() -> None:
    tokenizer, chat = qwen_tokenizer(), ChatReader(qwen_tokenizer())
    found = chat.read("a (red:1.3) cat")
    assert tokenizer.decode(found.ids) == "<|im_start|>user\na red cat<|im_end|>\n<|im_start|>assistant\n"
    assert (found.lost_weights, found.cut) == (True, 0)
    assert chat.read("a (red:1.3) cat", "None").text == "a (red:1.3) cat"
    long = chat.read("cat " * 600)
    assert len(long.ids) == ChatReader.longest and long.cut == 600 + 9 - ChatReader.longest
    thoughtless = ChatReader(qwen_tokenizer(), empty_thought=True).read("a cat")
    assert tokenizer.decode(thoughtless.ids).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_many_brackets_are_read_quickly() -> None:
    text = "(" * 20_000 + "a:1.2)" + "(a" * 20_000
    assert without_weights(text)[1]


def test_how_it_was_read_shows_the_limit_and_says_what_is_left_out() -> None:
    tokenizer = ChatReader(qwen_tokenizer())
    reading = read_prompt("a (red:1.3) [cat:dog:2] " + "word " * 600, tokenizer, ReadingOptions(steps=4))
    (part,) = reading.parts
    assert len(part.texts) == 2 and all(text.calls for text in part.texts)
    assert part.texts[0].limit == ChatReader.longest < part.texts[0].token_count
    assert part.texts[0].message.startswith("a red cat word") and not part.texts[0].chunks
    assert {notice.kind for notice in reading.notices} == {"no-weights", "cut"}
    assert count_tokens("a cat", tokenizer, 4) == (2 + 8, ChatReader.longest)
