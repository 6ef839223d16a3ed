"""Text to conditioning: CLIP over 75-token chunks, clip skip and emphasis, remembered across jobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from transformers import CLIPTextModel

from modules.prompt import Chunk, Emphasis, Tokenizer, chunk_prompt, empty_chunk

REMEMBERED_ENCODINGS: Final = 256


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How text becomes conditioning. Field values are those of A1111's options of the same meaning."""

    emphasis: Emphasis = "Original"
    clip_skip: int = 1
    comma_padding_backtrack: int = 20


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


class PromptEncoder:
    """Encodes texts with one checkpoint's text encoder and remembers the latest encodings."""

    def __init__(self, text_encoder: CLIPTextModel, tokenizer: Tokenizer) -> None:
        self._text_encoder = text_encoder
        self._tokenizer = tokenizer
        self._memory: OrderedDict[tuple[tuple[str, ...], EncodingOptions], Tensor] = OrderedDict()

    def encode(self, texts: Sequence[str], options: EncodingOptions) -> Tensor:
        """Conditioning of `texts`, the distinct texts of one prompt's schedule: (texts, 77 * chunks, width).

        They are encoded together and shorter ones are filled up with empty chunks, because A1111 does and the
        emphasis mean depends on it.
        """
        key = (tuple(texts), options)
        if key in self._memory:
            self._memory.move_to_end(key)
            return self._memory[key]
        encoded = self._encode(key[0], options)
        self._memory[key] = encoded
        while len(self._memory) > REMEMBERED_ENCODINGS:
            self._memory.popitem(last=False)
        return encoded

    def _encode(self, texts: tuple[str, ...], options: EncodingOptions) -> Tensor:
        chunked = [
            chunk_prompt(
                text,
                self._tokenizer,
                emphasis=options.emphasis,
                comma_padding_backtrack=options.comma_padding_backtrack,
            ).chunks
            for text in texts
        ]
        count = max(len(chunks) for chunks in chunked)
        filler = empty_chunk()
        columns = [[chunks[i] if i < len(chunks) else filler for chunks in chunked] for i in range(count)]
        return torch.cat([self._encode_chunks(column, options) for column in columns], dim=1)

    @torch.inference_mode()
    def _encode_chunks(self, chunks: Sequence[Chunk], options: EncodingOptions) -> Tensor:
        device = self._text_encoder.device
        ids = torch.tensor([chunk.tokens for chunk in chunks], device=device)
        multipliers = torch.tensor([chunk.multipliers for chunk in chunks], dtype=torch.float32, device=device)
        output = self._text_encoder(ids, output_hidden_states=options.clip_skip > 1)
        if options.clip_skip > 1:
            layer = min(options.clip_skip, len(output.hidden_states) - 1)
            hidden = self._text_encoder.final_layer_norm(output.hidden_states[-layer])
        else:
            hidden = output.last_hidden_state
        return apply_emphasis(hidden, multipliers, options.emphasis)
