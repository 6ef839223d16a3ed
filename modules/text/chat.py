"""Text to conditioning with a language model: each text by itself, as a message of a conversation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model

from modules.families import TextEncoderFacts
from modules.parameters.job_options import EncodingOptions
from modules.prompt.chat import chat_prompt
from modules.prompt.qwen import qwen_tokenizer


class ChatEncoder:
    """A language model as a family's text encoder: the hidden states of one of its last layers, a vector a token."""

    def __init__(self, model: Qwen3Model, facts: TextEncoderFacts) -> None:
        self._model = model
        self._facts = facts

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], options: EncodingOptions) -> tuple[Tensor, tuple[int, ...]]:
        """(texts, tokens of the longest, width), zeros behind the shorter ones, and how many tokens each has."""
        states = [self._encode(text, options) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(states, batch_first=True), tuple(map(len, states))

    def _encode(self, text: str, options: EncodingOptions) -> Tensor:
        ids = chat_prompt(text, qwen_tokenizer(), options.emphasis).ids
        answered = self._model(
            torch.tensor([ids], device=self._model.device), output_hidden_states=True, use_cache=False
        )
        hidden: Tensor = answered.hidden_states[-self._facts.layer][0]
        return hidden
