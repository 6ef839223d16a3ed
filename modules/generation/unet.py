"""A checkpoint's UNet as the function that sampling calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from modules.hardware.graphs import Forward, StepGraphs
from modules.hardware.model_configs import unet_config
from modules.sampling import Conditioning, UNet

# What SDXL's UNet takes beside the text, by diffusers' names: see `generation/conditions.py`.
_ADDED: Final = ("text_embeds", "time_ids")


def unet_function(unet: UNet2DConditionModel, *, channels_last: bool, forward: Forward | None = None) -> UNet:
    """`unet` as (x, timesteps, conditioning) -> raw prediction, cast to its type and memory layout and back to float32.

    x is (rows, channels, height, width); timesteps (rows,) may be fractional. `forward` may stand for its forward.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = unet.dtype
    predict = forward or forward_of(unet)
    names = _added_to(unet)

    def call(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        sample = x.to(dtype=dtype, memory_format=layout)
        added = (conditioning.added[name] for name in names)
        answer = predict(sample, timesteps, conditioning.context, *added)
        return answer.to(torch.float32, memory_format=torch.contiguous_format)

    return call


def forward_of(unet: UNet2DConditionModel) -> Forward:
    """`unet` as (sample, timesteps, context, what it takes beside the text) -> prediction, in its own type."""
    names = _added_to(unet)

    def forward(sample: Tensor, timesteps: Tensor, context: Tensor, *added: Tensor) -> Tensor:
        beside = dict(zip(names, added, strict=True)) if names else None
        prediction: Tensor = unet(
            sample, timesteps, encoder_hidden_states=context, added_cond_kwargs=beside, return_dict=False
        )[0]
        return prediction

    return forward


def _added_to(unet: UNet2DConditionModel) -> tuple[str, ...]:
    return _ADDED if unet_config(unet).addition_embed_type == "text_time" else ()


@contextmanager
def replayed(unet: UNet2DConditionModel, graphs: StepGraphs | None) -> Iterator[Forward]:
    """The forward for the steps of one pass: recorded and replayed if there are `graphs`.

    While this is open nothing that the forward depends on may change: weights, attention, padding, merged tokens.
    """
    forward = forward_of(unet)
    if graphs is None:
        yield forward
        return
    with graphs.replaying(forward) as call:
        yield call
