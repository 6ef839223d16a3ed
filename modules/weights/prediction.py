"""What a UNet predicts, found by running it once where neither its file nor its family says."""

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from modules.hardware.device import compute_device
from modules.hardware.model_configs import unet_config


@torch.inference_mode()
def predicts_velocity(unet: UNet2DConditionModel) -> bool:
    """Whether the answer to a constant, at the noisiest timestep, is far below it: the velocity is, the noise is not.

    Behaviour reproduced: A1111 v1.10.1 distinguishes the 768 px models of Stable Diffusion 2 from the 512 px ones so.
    """
    config = unet_config(unet)
    device, dtype = compute_device(unet), unet.dtype
    sample = torch.full((1, config.in_channels, 8, 8), 0.5, device=device, dtype=dtype)
    context = torch.full((1, 2, config.cross_attention_dim), 0.5, device=device, dtype=dtype)
    answer = unet(sample, torch.tensor([999], device=device), encoder_hidden_states=context, return_dict=False)[0]
    return float((answer - sample[:, : config.out_channels]).float().mean()) < -1.0
