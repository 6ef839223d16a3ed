"""T5's tokens, and prompts that it reads whole: weights, ends, and what the page says of them."""

from __future__ import annotations

import hashlib
import lzma
from importlib.resources import files

import pytest

from modules.prompt import ReadingOptions, count_tokens, read_prompt, whole_reader
from modules.prompt.t5 import END, VOCABULARY, t5_tokenizer

# By the published tokenizer.json of Flux.1's second tokenizer (tokenizers 0.23); 4,000 random texts of all scripts were
# equal too.
IDS = {
    "a cat": [3, 9, 1712],
    "  two   spaces\n\n\tand tabs ": [192, 4856, 11, 3808, 7],
    "Здравствуй мир": [3, 2, 5814, 7948, 6609, 24832, 3700, 2, 3, 21325, 8452],
    "你好，世界 🐈\u200d⬛": [3, 2, 6, 2, 3, 2, 3, 2],
    "e\u0301 NFC ﬁ": [3, 154, 445, 5390, 361],
    "<extra_id_0> x</s> y<pad>": [32099, 3, 226, 1, 3, 63, 0],
    "I'm DON'T": [27, 31, 51, 309, 4170, 31, 382],
    "1234567": [3, 14574, 2128, 3708],
    "": [],
    "   ": [],
}


@pytest.mark.parametrize("text", IDS)
def test_ids_are_those_of_the_published_tokenizer(text: str) -> None:
    assert t5_tokenizer().encode(text) == IDS[text]


def test_the_vocabulary_is_the_published_one() -> None:
    packed = files("modules.prompt").joinpath("vocabulary", "t5_spiece.model.xz").read_bytes()
    known = "d60acb128cf7b7f2536e8f38a5b18a05535c9e14c7a355904270e15b0945ea86"
    assert hashlib.sha256(lzma.decompress(packed)).hexdigest() == known
    assert t5_tokenizer().encode("<extra_id_0>") == [VOCABULARY - 1]
    assert t5_tokenizer().decode(IDS["1234567"]) == "1234567"


def test_weights_are_those_of_the_tokens_and_change_none() -> None:
    reader, words = whole_reader("text"), t5_tokenizer()
    read = reader.read("a (red:1.5) circle, [blurry] \\(x\\)")
    assert list(read.ids) == [*words.encode("a red circle, blurry (x)"), END]
    by_token = dict(zip((words.decode([number]) for number in read.ids), read.multipliers, strict=True))
    assert (by_token["red"], by_token["circle"], by_token["</s>"]) == (1.5, 1.0, 1.0)
    assert min(read.multipliers) == pytest.approx(1 / 1.1)
    assert reader.read("a red circle").multipliers == () == reader.read("a (red:1) circle").multipliers
    assert list(reader.read("one BREAK two").ids) == [*words.encode("one two"), END]
    plain = reader.read("a (red:1.5)", "None")
    assert (list(plain.ids), plain.multipliers) == ([*words.encode("a (red:1.5)"), END], ())


def test_a_long_text_keeps_the_mark_at_its_end() -> None:
    read = whole_reader("text").read("(cat:1.2) " * 600)
    assert len(read.ids) == whole_reader("text").longest == len(read.multipliers)
    assert read.ids[-1] == END and read.cut == 601 - 512


def test_how_it_was_read_shows_the_limit_and_warns_of_broken_weights() -> None:
    reader = whole_reader("text")
    reading = read_prompt("a (red:1.2.3) cat " + "word " * 600, reader, ReadingOptions(steps=4))
    ((text,),) = (part.texts for part in reading.parts)
    assert text.limit == 512 < text.token_count and "(red:1.2.3)" in text.message and text.chunks == ()
    assert {notice.kind for notice in reading.notices} >= {"cut"} and len(reading.notices) == 2
    assert count_tokens("a cat", reader, 4) == (4, 512)
