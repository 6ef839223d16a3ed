"""T5's tokens: text to the ids that its encoders (v1.1, as with Flux.1) were trained on, without transformers."""

import lzma
import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import accumulate
from typing import Final

from tokenizers import AddedToken, Regex
from tokenizers import Tokenizer as RustTokenizer
from tokenizers.decoders import Metaspace as MetaspaceDecoder
from tokenizers.models import Unigram
from tokenizers.normalizers import Precompiled, Replace, Strip
from tokenizers.normalizers import Sequence as Steps
from tokenizers.pre_tokenizers import Metaspace

from modules.files.protobuf import byte_fields
from modules.prompt.attention import BREAK, parse_attention
from modules.prompt.whole import WholeReader, WholeText
from modules.settings.choices import Emphasis

FILLER: Final = 0
"""The id that texts are filled up with: `<pad>`."""
END: Final = 1
"""The id behind every text: `</s>`."""
_UNKNOWN: Final = 2
# Behind the vocabulary, counted down.
_SENTINELS: Final = tuple(f"<extra_id_{number}>" for number in range(99, -1, -1))
VOCABULARY: Final = 32100
"""How many ids there are; models have some more rows in their embeddings."""
# A space as the vocabulary has it.
_SPACE: Final = "\u2581"
# Where SentencePiece's file has its pieces, each a text and its logarithmic likelihood, and what normalises texts.
_PIECES, _PIECE, _SCORE, _NORMALIZER, _CHARACTERS = 1, 1, 2, 3, 2


class T5Tokenizer:
    """T5's unigram tokens. `encode` gives the ids of a text, without the mark behind it."""

    def __init__(self) -> None:
        pieces, characters = _vocabulary()
        vocabulary = [*pieces, *((word, 0.0) for word in _SENTINELS)]
        self._rust = RustTokenizer(Unigram(vocabulary, unk_id=_UNKNOWN))
        self._rust.normalizer = Steps(
            [Precompiled(characters), Strip(left=False, right=True), Replace(Regex(" {2,}"), _SPACE)]
        )
        self._rust.pre_tokenizer = Metaspace(replacement=_SPACE, prepend_scheme="always")
        self._rust.decoder = MetaspaceDecoder(replacement=_SPACE, prepend_scheme="always")
        marks = [pieces[number][0] for number in (FILLER, END, _UNKNOWN)]
        self._rust.add_special_tokens([AddedToken(mark, normalized=False) for mark in (*marks, *_SENTINELS)])

    def encode(self, text: str) -> list[int]:
        """The ids of one text."""
        return [number for number, _ in self.places(text)]

    def places(self, text: str) -> list[tuple[int, int]]:
        """The ids of one text, each with the place in it that its token ends at."""
        encoding = self._rust.encode(text, add_special_tokens=False)
        return [(number, end) for number, (_, end) in zip(encoding.ids, encoding.offsets, strict=True)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text that ids stand for."""
        text: str = self._rust.decode(list(ids), skip_special_tokens=False)
        return text


@dataclass(frozen=True, slots=True)
class T5Reader(WholeReader):
    """How T5 reads a text: as it is, with a mark behind it that counts too.

    The text is taken apart once, weights and all that stands around them left out, so that a weight changes no token;
    BREAK is a space.
    """

    words: T5Tokenizer
    weighs = True

    def read(self, text: str, emphasis: Emphasis = "Original") -> WholeText:
        """`text` with a multiplier for each token, the weight of what it ends in."""
        runs = [(text, 1.0)] if emphasis == "None" else parse_attention(text)
        runs = [(" ", 1.0) if run == BREAK else run for run in runs]
        ends = [*accumulate(len(run) for run, _ in runs)]
        plain = "".join(run for run, _ in runs)
        tokens = [*self.words.places(plain), (END, 0)]
        counting = tokens[: self.longest - 1] + tokens[-1:] if len(tokens) > self.longest else tokens
        multipliers: tuple[float, ...] = ()
        if any(weight != 1 for _, weight in runs):
            weights = [runs[min(bisect_left(ends, end), len(runs) - 1)][1] for _, end in counting[:-1]]
            multipliers = (*weights, 1.0)
        return WholeText(text, tuple(number for number, _ in counting), len(tokens) - len(counting), multipliers)


@cache
def t5_tokenizer() -> T5Tokenizer:
    """The one tokenizer of this process, built at first use (about half a second)."""
    return T5Tokenizer()


def _vocabulary() -> tuple[list[tuple[str, float]], bytes]:
    packed = files("modules.prompt").joinpath("vocabulary", "t5_spiece.model.xz").read_bytes()
    pieces: list[tuple[str, float]] = []
    characters = b""
    for number, value in byte_fields(lzma.decompress(packed)):
        if number == _PIECES:
            piece = dict(byte_fields(value))
            (score,) = struct.unpack("<f", piece.get(_SCORE, bytes(4)))
            pieces.append((piece[_PIECE].decode(), score))
        elif number == _NORMALIZER:
            characters = dict(byte_fields(value))[_CHARACTERS]
    return pieces, characters
