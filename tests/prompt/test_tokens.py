import random
import re
import time
from typing import Any

import pytest
from ftfy import fix_text
from hypothesis import given
from hypothesis import strategies as st

from modules.prompt import clip_tokenizer
from modules.prompt.tokens import _vocabulary, clean


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return clip_tokenizer()


@pytest.fixture(scope="module")
def oracle() -> Any:
    pytest.importorskip("transformers")
    from tests.reference_tokenizer import reference_tokenizer

    return reference_tokenizer()


def test_known_ids(tokenizer: Any) -> None:
    assert tokenizer.encode("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert tokenizer.encode("") == tokenizer.encode(" \n\t ") == []
    assert tokenizer.encode(",") == [tokenizer.comma]
    assert tokenizer.encode("!") == [256]
    assert tokenizer.encode("A  Photo\nOF a\u3000cat ") == [320, 1125, 539, 320, 2368]


def test_the_vocabulary_has_clips_size() -> None:
    vocabulary, merges = _vocabulary()
    assert (len(vocabulary), len(merges)) == (49408, 48894)


LETTERS = "abcXYZ 0123 ,.!?'\"()[]{}<>|:;-_+=*&^%$#@~`\\/\n\t\r éüßÅıσ日本語中文한국어ру́сский😀🇩🇪"
LETTERS += "\u200b\u00a0\u3000“”‘’—…１２Ａ½²\u0301\x00\x07"
WORDS = ["it's", "don't", "we'll", "I'M", "<|endoftext|>", "<|startoftext|>", "masterpiece", "(best quality:1.2)", "8k"]


def test_ids_equal_transformers(tokenizer: Any, oracle: Any) -> None:
    """But for capital sigmas: transformers 5 lowers letter by letter, the slow tokenizer of A1111 as Python does."""
    choice = random.Random(20)
    for _ in range(3000):
        text = "".join(choice.choice(LETTERS if choice.random() < 0.8 else WORDS) for _ in range(choice.randrange(30)))
        assert tokenizer.encode(text) == oracle(fix_text(text), add_special_tokens=False)["input_ids"], ascii(text)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("a cat’s “toy”", 'a cat\'s "toy"'),
        ("１２ＡＢ，ｃ（d：1）", "12ab,c(d:1)"),
        ("ﬁne ŀ", "fine ŀ"),
        ("cats &amp; dogs", "cats & dogs"),
        ("cafÃ©", "café"),
        ("cafe\u0301", "café"),
        ("a\ud800b", "a\ufffdb"),
    ],
)
def test_text_is_repaired_as_in_training(tokenizer: Any, written: str, plain: str) -> None:
    assert tokenizer.encode(written) == tokenizer.encode(plain)


def test_case_is_lowered_as_python_does(tokenizer: Any) -> None:
    assert tokenizer.encode("ΟΔΟΣ") == tokenizer.encode("οδος")


def test_several_texts_stay_apart(tokenizer: Any) -> None:
    assert tokenizer.encode_all(["a", "", "cat"]) == [[320], [], [2368]]


def test_words_of_ids(tokenizer: Any) -> None:
    assert tokenizer.words(tokenizer.encode("A photo, été")) == ["a ", "photo ", ", ", "é", "té "]
    assert "".join(tokenizer.words(tokenizer.encode("emotionless"))) == "emotionless "


def test_long_text_is_linear(tokenizer: Any) -> None:
    start = time.process_time()
    assert len(tokenizer.encode("cat " * 50_000)) == 50_000
    assert time.process_time() - start < 3.0


@given(st.text(st.characters(max_codepoint=0x7F), max_size=60))
def test_plain_text_needs_no_repair(text: str) -> None:
    assert clean(text) == re.sub(r"\s+", " ", fix_text(text)).strip().lower()
