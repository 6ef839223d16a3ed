"""A checkpoint's UNet as the function that sampling calls."""

from __future__ import annotations

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from modules.sampling import Conditioning, UNet


def unet_function(unet: UNet2DConditionModel, *, channels_last: bool) -> UNet:
    """`unet` as (x, timesteps, conditioning) -> raw prediction, cast to its type and memory layout and back to float32.

    x is (rows, channels, height, width); timesteps (rows,) may be fractional.
    """
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = unet.dtype

    def call(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        sample = x.to(dtype=dtype, memory_format=layout)
        prediction: Tensor = unet(sample, timesteps, encoder_hidden_states=conditioning.context, return_dict=False)[0]
        return prediction.to(torch.float32, memory_format=torch.contiguous_format)

    return call
