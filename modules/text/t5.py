"""Text to conditioning with T5: each text whole, a vector a token, which weights multiply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from transformers.models.t5.modeling_t5 import T5Stack

from modules.parameters.job_options import EncodingOptions
from modules.prompt import whole_reader
from modules.prompt.t5 import FILLER
from modules.text.emphasis import apply_emphasis

# Texts are filled up to so many tokens, which all count: models saw them so.
_SHORTEST: Final = 256


class T5Encoder:
    """T5's encoder as one of a family's text encoders: the hidden states behind its last layer.

    Behaviour reproduced: Forge and ComfyUI, which fill texts up to 256 tokens without a mask, and take longer ones as
    long as they are.
    """

    def __init__(self, model: T5Stack) -> None:
        self._model = model
        self._reader = whole_reader("text")

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], options: EncodingOptions) -> tuple[Tensor, tuple[int, ...]]:
        """(texts, tokens of the longest, width), zeros behind the shorter ones, and how many tokens each has."""
        states = [self._encode(text, options) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True), tuple(map(len, states))

    def _encode(self, text: str, options: EncodingOptions) -> Tensor:
        read = self._reader.read(text, options.emphasis)
        filler = max(0, _SHORTEST - len(read.ids))
        ids = torch.tensor([[*read.ids, *[FILLER] * filler]], device=self._model.device)
        hidden: Tensor = self._model(ids).last_hidden_state
        if read.multipliers:
            weights = torch.tensor([[*read.multipliers, *[1.0] * filler]], dtype=torch.float32, device=hidden.device)
            hidden = apply_emphasis(hidden, weights, options.emphasis)
        return hidden[0]
