"""transformers' CLIP tokenizer over our copy of the vocabulary: what our own tokenizer is compared with."""

from __future__ import annotations

from transformers import CLIPTokenizer

from modules.prompt.tokens import _vocabulary


def reference_tokenizer(max_length: int = 1_000_000) -> CLIPTokenizer:
    """A tokenizer that calls a text too long beyond `max_length` tokens; pipelines cut it there."""
    vocabulary, merges = _vocabulary()
    # transformers declares lines of text, but reads pairs.
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)  # type: ignore[arg-type]  # annotated too narrowly there
