"""CLIP tokens of captions, and the small vocabulary that the training set uses of CLIP's 49,408."""

import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from training.captions import caption
from training.composition import random_composition

LENGTH = 77
START, END = 49406, 49407
VOCABULARY_SIZE = 49408
UNKNOWN = 0
DEFAULT_FILE = Path(__file__).parents[1] / "modules/prompt/vocabulary/bpe_simple_vocab_16e6.txt.gz"


def load_tokenizer(path: Path = DEFAULT_FILE) -> CLIPTokenizer:
    """CLIP's tokenizer from OpenAI's merges file (MIT)."""
    lines = gzip.decompress(path.read_bytes()).decode().split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    symbols = list(bytes_to_unicode().values())  # type: ignore[no-untyped-call]  # unannotated there
    words = symbols + [s + "</w>" for s in symbols] + ["".join(m) for m in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    # Pairs is what it takes; the annotation there says lines.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)  # type: ignore[arg-type]  # annotated too narrowly there


def padded(ids: list[int]) -> list[int]:
    """Start, the ids, end, and the end token again as padding up to 77."""
    ids = [START, *ids[: LENGTH - 2]]
    return ids + [END] * (LENGTH - len(ids))


class Tokens:
    """Captions to compact ids: 0 is every token that the training set never uses."""

    def __init__(self, path: Path = DEFAULT_FILE, sample: int = 30_000) -> None:
        self._tokenizer = load_tokenizer(path)
        self._known: dict[str, list[int]] = {}
        rng = np.random.default_rng(7)
        seen = {START, END}
        for _ in range(sample):
            seen.update(self.ids(caption(random_composition(rng), rng)))
        self.used = sorted(seen)
        self.lookup = torch.zeros(VOCABULARY_SIZE, dtype=torch.long)
        self.lookup[torch.tensor(self.used)] = torch.arange(1, len(self.used) + 1)

    def ids(self, text: str) -> list[int]:
        """The ids of a caption in CLIP's own numbering, without start and end; remembered, for captions recur."""
        if text not in self._known:
            self._known[text] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return self._known[text]

    @property
    def size(self) -> int:
        """Rows of the compact embedding table."""
        return len(self.used) + 1

    def batch(self, texts: list[str]) -> Tensor:
        """Compact ids [b, 77]."""
        return self.lookup[torch.tensor([padded(self.ids(text)) for text in texts])]
