"""Text to conditioning: CLIP over 75-token chunks, clip skip and emphasis, cached across jobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from modules.parameters.job_options import EncodingOptions
from modules.prompt import Chunk, Tokenizer, chunk_prompt, chunk_prompt_as_before, empty_chunk

# What cached encodings take of the device at most. A chunk of SD 1.5 is 118 KB in half precision, so that is 540 of
# them; what a job adds to them while it runs, after its memory was planned, is within the budget's reserve.
CACHE_BYTES: Final = 64_000_000


def apply_emphasis(hidden: Tensor, multipliers: Tensor, mode: str) -> Tensor:
    """Weigh each token's vector, and for `Original` bring the mean back to what it was.

    hidden: (texts, 77, width); multipliers: (texts, 77). The mean is taken over the whole tensor, all texts of one
    schedule together, as A1111 does.
    """
    if mode in ("Ignore", "None"):
        return hidden
    weighted = hidden * multipliers.to(hidden.dtype).unsqueeze(-1)
    if mode == "Original":
        before, after = hidden.mean(), weighted.mean()
        # Encodings whose mean is zero have nothing to be brought back to.
        return weighted * torch.where(after == 0, torch.ones_like(after), before / after)
    return weighted


@dataclass(frozen=True, slots=True)
class _Encoded:
    """Vectors of some texts, (texts, 77 * chunks, width), and the textual inversions among them."""

    vectors: Tensor
    embeddings: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes of its vectors."""
        return self.vectors.numel() * self.vectors.element_size()


class PromptEncoder:
    """Encodes texts with one checkpoint's text encoder and caches the latest encodings, `CACHE_BYTES` at most."""

    def __init__(self, text_encoder: CLIPTextModel, tokenizer: Tokenizer) -> None:
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._cache: OrderedDict[tuple[tuple[str, ...], EncodingOptions], _Encoded] = OrderedDict()
        self._cached_bytes = 0
        self._embeddings: Mapping[str, Tensor] = {}
        self._used: dict[str, None] = {}

    @property
    def embeddings_used(self) -> tuple[str, ...]:
        """The textual inversions found in this job's texts, in the order in which they were encoded."""
        return tuple(self._used)

    @property
    def cached_bytes(self) -> int:
        """What the cached encodings take, on the device that encoded them."""
        return self._cached_bytes

    def begin(self, embeddings: Mapping[str, Tensor]) -> None:
        """Start a job with these textual inversions: vectors (count, width) by name.

        Encodings made with other ones are forgotten.
        """
        if embeddings is not self._embeddings:
            self._embeddings = embeddings
            self.forget()
        self._used = {}

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._cached_bytes = 0

    def release(self) -> None:
        """Let go of the text encoder, even while references to this object remain; it encodes nothing after that."""
        self.forget()
        del self._text_encoder

    def encode(self, texts: Sequence[str], options: EncodingOptions) -> Tensor:
        """Conditioning of `texts`, all texts of one prompt's schedule: (texts, 77 * chunks, width).

        They are encoded together, one that comes back later counted again, and shorter ones are filled up with empty
        chunks: A1111 does so, and the emphasis mean depends on it.
        """
        key = (tuple(texts), options)
        encoded = self._cache.get(key)
        if encoded is None:
            encoded = self._encode(key[0], options)
            self._add(key, encoded)
        else:
            self._cache.move_to_end(key)
        self._used |= dict.fromkeys(encoded.embeddings)
        return encoded.vectors

    def _add(self, key: tuple[tuple[str, ...], EncodingOptions], encoded: _Encoded) -> None:
        """Cache an encoding; those that were used longest ago make room for it. One too large for all is not cached."""
        if encoded.size > CACHE_BYTES:
            return
        while self._cached_bytes + encoded.size > CACHE_BYTES:
            self._cached_bytes -= self._cache.popitem(last=False)[1].size
        self._cache[key] = encoded
        self._cached_bytes += encoded.size

    def _encode(self, texts: tuple[str, ...], options: EncodingOptions) -> _Encoded:
        chunked = [self._chunks(text, options) for text in texts]
        count = max(len(chunks) for chunks in chunked)
        filler = empty_chunk()
        columns = [[chunks[i] if i < len(chunks) else filler for chunks in chunked] for i in range(count)]
        vectors = torch.cat([self._encode_chunks(column, options) for column in columns], dim=1)
        names = (name for column in columns for chunk in column for _, name in chunk.embeddings)
        return _Encoded(vectors, tuple(dict.fromkeys(names)))

    def _chunks(self, text: str, options: EncodingOptions) -> tuple[Chunk, ...]:
        counts = {name: vectors.shape[0] for name, vectors in self._embeddings.items()}
        if options.old_emphasis:
            return chunk_prompt_as_before(text, self._tokenizer, options.emphasis, counts).chunks
        backtrack = options.comma_padding_backtrack
        return chunk_prompt(text, self._tokenizer, options.emphasis, backtrack, counts).chunks

    @torch.inference_mode()
    def _encode_chunks(self, chunks: Sequence[Chunk], options: EncodingOptions) -> Tensor:
        device = self._text_encoder.device
        ids = torch.tensor([chunk.tokens for chunk in chunks], device=device)
        multipliers = torch.tensor([chunk.multipliers for chunk in chunks], dtype=torch.float32, device=device)
        with self._placed(chunks):
            output = self._text_encoder(ids, output_hidden_states=options.clip_skip > 1)
        if options.clip_skip > 1:
            layer = min(options.clip_skip, len(output.hidden_states) - 1)
            hidden = self._text_encoder.final_layer_norm(output.hidden_states[-layer])
        else:
            hidden = output.last_hidden_state
        # An encoder that waits in main memory is brought to the device by the call: what it answers lies there.
        return apply_emphasis(hidden, multipliers.to(hidden.device), options.emphasis)

    @contextmanager
    def _placed(self, chunks: Sequence[Chunk]) -> Iterator[None]:
        """While open, the vectors of textual inversions stand where their names stood, before positions are added."""
        if not any(chunk.embeddings for chunk in chunks):
            yield
            return

        def overwrite(_layer: nn.Module, _inputs: object, looked_up: Tensor) -> Tensor:
            placed = looked_up.clone()
            for row, chunk in zip(placed, chunks, strict=True):
                for offset, name in chunk.embeddings:
                    vectors = self._embeddings[name][: len(row) - offset]
                    row[offset : offset + len(vectors)] = vectors.to(row)
            return placed

        hook = self._text_encoder.get_input_embeddings().register_forward_hook(overwrite)
        try:
            yield
        finally:
            hook.remove()
