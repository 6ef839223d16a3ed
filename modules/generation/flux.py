"""Flux.1's transformer as what sampling calls: latents and a share of noise in, noise minus picture out."""

from __future__ import annotations

from itertools import pairwise

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import Tensor
from torch.nn.functional import pad, pixel_shuffle, pixel_unshuffle

from modules.hardware.graphs import Forward
from modules.hardware.model_configs import FLUX_PATCH, flux_config
from modules.sampling import GUIDANCE, TEXT_LENGTH


def flux_forward(transformer: FluxTransformer2DModel) -> Forward:
    """`transformer` as (sample, levels, context, what `flux_added` names) -> flow, in its own type.

    sample is (rows, channels, height, width) of any height and width: it is filled up to whole patches over its edges,
    and what is behind them is taken off. levels are (rows,), 1 where there is nothing but noise. Text lengths are
    (rows,), on the CPU; rows whose texts are of different lengths are called one after the other. The pooled text is
    (rows, channels), guidance (rows,).
    """

    def forward(sample: Tensor, levels: Tensor, context: Tensor, *others: Tensor) -> Tensor:
        height, width = sample.shape[2:]
        filled = pad(sample, (0, width % FLUX_PATCH, 0, height % FLUX_PATCH), mode="circular")
        rows, columns = (side // FLUX_PATCH for side in filled.shape[2:])
        tokens = pixel_unshuffle(filled, FLUX_PATCH).flatten(2).transpose(1, 2)
        lengths, pooled, *beside = others
        places = _places(rows, columns, sample.device)

        def call(start: int, stop: int, length: int) -> Tensor:
            answer: Tensor = transformer(
                hidden_states=tokens[start:stop],
                timestep=levels[start:stop],
                encoder_hidden_states=context[start:stop, :length],
                pooled_projections=pooled[start:stop],
                guidance=beside[0][start:stop] if beside else None,
                img_ids=places,
                txt_ids=torch.zeros(length, places.shape[1], device=sample.device),
                return_dict=False,
            )[0]
            return answer

        answers = torch.cat([call(*stretch) for stretch in _stretches(lengths.tolist())])
        latents = answers.transpose(1, 2).reshape(*filled.shape[:1], -1, rows, columns)
        return pixel_shuffle(latents, FLUX_PATCH)[:, :, :height, :width]

    return forward


def flux_added(transformer: FluxTransformer2DModel) -> tuple[str, ...]:
    """What it takes beside the text: guidance where it was distilled with it."""
    names = (TEXT_LENGTH, "text_embeds", GUIDANCE)
    return names if flux_config(transformer).guidance_embeds else names[:2]


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows * columns, 3): 0, row and column of each token."""
    none, down, across = (torch.arange(count, device=device) for count in (1, rows, columns))
    return torch.cartesian_prod(none, down, across)


def _stretches(lengths: list[int]) -> list[tuple[int, int, int]]:
    """(first, behind the last, length) of rows of one length that follow each other."""
    borders = [0, *(row for row in range(1, len(lengths)) if lengths[row] != lengths[row - 1]), len(lengths)]
    return [(start, stop, lengths[start]) for start, stop in pairwise(borders)]
