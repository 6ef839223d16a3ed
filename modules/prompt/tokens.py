"""CLIP's tokens: text to the ids that its text encoders were trained on, without transformers."""

import gzip
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from ftfy import fix_text
from tokenizers import AddedToken, Regex
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

MARKS = ("<|startoftext|>", "<|endoftext|>")
START = 49406
END = 49407
MERGES = 49152 - 256 - 2
"""Merges that CLIP uses of the file; its ids are the 256 bytes, the same at a word's end, the merges, two marks."""

_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"

# Printable ASCII without the & of an HTML entity: ftfy leaves it as it is, and takes long to find that out.
_NOTHING_TO_FIX: Final = re.compile(r"[\t\n\r -%'-~]*")


class Tokenizer:
    """CLIP's byte-pair encoding. `encode` gives the ids of a text without start and end marks, however long it is."""

    def __init__(self) -> None:
        vocabulary, merges = _vocabulary()
        model = BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>", unk_token="<|endoftext|>")
        self._rust = RustTokenizer(model)
        self._rust.pre_tokenizer = Steps(
            [Split(Regex(_WORDS), "removed", invert=True), ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        self._rust.add_special_tokens([AddedToken(mark, normalized=False) for mark in MARKS])
        self._words = {number: word for word, number in vocabulary.items()}
        self._bracketed = {number: word for word, number in vocabulary.items() if set(word) & set("()[]")}
        self.comma = vocabulary[",</w>"]

    def encode(self, text: str) -> list[int]:
        """The ids of one text; white space counts only as a border between words, and case not at all."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of several texts, each on its own."""
        # A long prompt's parts are often the same few.
        distinct = list(dict.fromkeys(texts))
        encodings = self._rust.encode_batch([clean(text) for text in distinct], add_special_tokens=False)
        ids = {text: encoding.ids for text, encoding in zip(distinct, encodings, strict=True)}
        return [ids[text] for text in texts]

    def bracketed(self) -> Mapping[int, str]:
        """The tokens that have a bracket in them, as the vocabulary spells them."""
        return self._bracketed

    def words(self, ids: Sequence[int]) -> list[str]:
        """What each id stands for, as text for people: words end in a space, bytes that are no letter become `�`."""
        decoder = _byte_decoder()
        raw = (self._words[number].replace("</w>", " ") for number in ids)
        return [bytes(decoder.get(char, 32) for char in word).decode(errors="replace") for word in raw]


@cache
def clip_tokenizer() -> Tokenizer:
    """The one tokenizer of this process, built at first use (about 0.15 s)."""
    return Tokenizer()


def clean(text: str) -> str:
    """The text as CLIP's vocabulary knows it: repaired, composed, one space for any white space, lower case.

    The repair is that of ftfy, which CLIP was trained with and A1111's tokenizer uses: curly quotes and full-width
    letters become plain ones, ligatures come apart, HTML entities and mojibake are undone.
    """
    fixed = text if _NOTHING_TO_FIX.fullmatch(text) else fix_text(text)
    return re.sub(r"\s+", " ", fixed).strip().lower()


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    packed = files("modules.prompt").joinpath("vocabulary", "bpe_simple_vocab_16e6.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split("\n")
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines[1 : MERGES + 1])]
    letters = list(byte_letters().values())
    words = letters + [letter + "</w>" for letter in letters] + [left + right for left, right in merges]
    words += MARKS
    return {word: number for number, word in enumerate(words)}, merges


def byte_letters() -> dict[int, str]:
    """A printable character for each byte, as in GPT-2: printable Latin-1 is itself, the rest follow from U+0100."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def _byte_decoder() -> dict[str, int]:
    return {char: byte for byte, char in byte_letters().items()}
