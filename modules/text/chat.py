"""Text to conditioning with a language model: each text by itself, as a message of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from modules.families import TextEncoderFacts
from modules.parameters.job_options import EncodingOptions
from modules.prompt import whole_reader
from modules.prompt.qwen import FILLER


class ChatEncoder:
    """A language model as a family's text encoder: the hidden states of one of its layers or of several side by side, a
    vector a token.
    """

    def __init__(self, model: Qwen3Model, facts: TextEncoderFacts) -> None:
        self._model = model
        self._facts = facts
        self._reader = whole_reader("message", empty_thought=facts.empty_thought)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], options: EncodingOptions) -> tuple[Tensor, tuple[int, ...]]:
        """(texts, tokens of the longest, width), zeros behind the shorter ones, and how many tokens each has.

        Where texts are filled up all are as long as the longest one allowed, and no lengths are given.
        """
        states = [self._encode(text, options) for text in texts]
        lengths = () if self._facts.filled_up else tuple(map(len, states))
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True), lengths

    def _encode(self, text: str, options: EncodingOptions) -> Tensor:
        facts = self._facts
        ids = self._reader.read(text, options.emphasis).ids
        filler = self._reader.longest - len(ids) if facts.filled_up else 0
        answered = self._model(
            torch.tensor([[*ids, *[FILLER] * filler]], device=self._model.device),
            attention_mask=torch.tensor([[1] * len(ids) + [0] * filler], device=self._model.device) if filler else None,
            output_hidden_states=True,
            use_cache=False,
        )
        places = facts.joined_states or (-facts.layer,)
        return torch.cat([answered.hidden_states[place][0] for place in places], dim=-1)
