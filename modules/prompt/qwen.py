"""Qwen's tokens: text to the ids that its language models (2, 2.5 and 3) were trained on, without transformers."""

import lzma
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from tokenizers import AddedToken, Regex
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps

from modules.prompt.tokens import byte_letters

_WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Behind the vocabulary, in this order. The first fourteen are marks, the others words that are never taken apart.
_MARKS: Final = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
_WHOLE_WORDS: Final = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
FILLER: Final = 151643
"""The id that texts are filled up with: `<|endoftext|>`."""
VOCABULARY: Final = 151669
"""How many ids there are; models have some more rows in their embeddings."""


class QwenTokenizer:
    """Qwen's byte-pair encoding. `encode` gives the ids of a text, marks in it included."""

    def __init__(self) -> None:
        merges = _merges()
        words = [*byte_letters().values(), *(left + right for left, right in merges)]
        self._rust = RustTokenizer(BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges))
        self._rust.normalizer = NFC()
        self._rust.pre_tokenizer = Steps(
            [Split(Regex(_WORDS), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        self._rust.decoder = ByteLevelDecoder()
        self._rust.add_special_tokens([AddedToken(mark, normalized=False) for mark in _MARKS])
        self._rust.add_tokens([AddedToken(word, normalized=False) for word in _WHOLE_WORDS])

    def encode(self, text: str) -> list[int]:
        """The ids of one text."""
        ids: list[int] = self._rust.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text that ids stand for; bytes that are no letter become `�`."""
        text: str = self._rust.decode(list(ids), skip_special_tokens=False)
        return text


@cache
def qwen_tokenizer() -> QwenTokenizer:
    """The one tokenizer of this process, built at first use (about a second)."""
    return QwenTokenizer()


def _merges() -> list[tuple[str, str]]:
    packed = files("modules.prompt").joinpath("vocabulary", "qwen_merges.txt.xz").read_bytes()
    lines = lzma.decompress(packed).decode().split("\n")[1:]
    return [(left, right) for left, _, right in (line.partition(" ") for line in lines if line)]
