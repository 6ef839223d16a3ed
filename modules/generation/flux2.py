"""Flux.2's transformer as what sampling calls: latents and a share of noise in, noise minus picture out."""

from __future__ import annotations

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from modules.hardware.graphs import Forward
from modules.hardware.model_configs import flux2_config

# How far apart in time the transformer was taught pictures to lie that it is shown, the first one from its own.
_TIME_APART = 10


def flux2_forward(transformer: Flux2Transformer2DModel) -> Forward:
    """`transformer` as (sample, levels, context) -> flow, in its own type.

    sample is (rows, channels, height, width); behind the channels of the noisy latent stand those of latents of
    pictures that it is shown, as many each. levels are (rows,), 1 where there is nothing but noise; context is
    (rows, tokens, channels).
    """
    channels = flux2_config(transformer).in_channels

    def forward(sample: Tensor, levels: Tensor, context: Tensor, *_: Tensor) -> Tensor:
        rows, joined, height, width = sample.shape
        pictures = joined // channels
        # (rows, pictures, channels, height, width) to one row of tokens, picture behind picture.
        tokens = sample.reshape(rows, pictures, channels, height, width).permute(0, 1, 3, 4, 2).flatten(1, 3)
        answers: Tensor = transformer(
            hidden_states=tokens,
            timestep=levels,
            encoder_hidden_states=context,
            img_ids=_picture_places(pictures, height, width, sample.device),
            txt_ids=_text_places(context.shape[1], sample.device),
            return_dict=False,
        )[0]
        return answers[:, : height * width].transpose(1, 2).reshape(rows, channels, height, width)

    return forward


def _picture_places(pictures: int, height: int, width: int, device: torch.device) -> Tensor:
    """(pictures * height * width, 4): time, row and column of each token, and 0."""
    times, rows, columns, none = (torch.arange(count, device=device) for count in (pictures, height, width, 1))
    return torch.cartesian_prod(_TIME_APART * times, rows, columns, none)


def _text_places(tokens: int, device: torch.device) -> Tensor:
    """(tokens, 4): zeros, and each token's place in the text."""
    return torch.nn.functional.pad(torch.arange(tokens, device=device)[:, None], (3, 0))
