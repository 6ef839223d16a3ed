"""Z-Image's transformer as what sampling calls: latents and a share of noise in, noise minus picture out."""

from __future__ import annotations

import torch
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import Tensor
from torch.nn.functional import pad

from modules.hardware.graphs import Forward


def z_image_forward(transformer: ZImageTransformer2DModel) -> Forward:
    """`transformer` as (sample, levels, context, text lengths) -> flow, in its own type.

    sample is (rows, channels, height, width) of any height and width: it is filled up to whole patches over its edges,
    and what is behind them is taken off. levels are (rows,), 1 where there is nothing but noise; the transformer counts
    the share of the picture instead, and answers with picture minus noise. Text lengths are (rows,), on the CPU.
    """

    def forward(sample: Tensor, levels: Tensor, context: Tensor, *others: Tensor) -> Tensor:
        height, width = sample.shape[2:]
        filled = pad(sample, (0, width % 2, 0, height % 2), mode="circular")
        texts = [row[:length] for row, length in zip(context.unbind(0), others[0].tolist(), strict=True)]
        answers = transformer(list(filled.unsqueeze(2).unbind(0)), 1 - levels, texts, return_dict=False)[0]
        return -torch.stack(answers).squeeze(2)[:, :, :height, :width]

    return forward
