"""What lies on the device and what waits in main memory: all of it, one part at a time, or the UNet block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from accelerate import cpu_offload_with_hook
from accelerate.hooks import remove_hook_from_module
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.hooks import apply_group_offloading
from torch import nn
from transformers import CLIPTextModel

MemoryMode = Literal["full", "medvram", "lowvram"]

THRIFTIER: Final[dict[MemoryMode, MemoryMode]] = {"full": "medvram", "medvram": "lowvram"}

# What a 512x512 picture takes beside the weights, in bytes; larger ones are caught when memory runs out.
WORKING_MEMORY: Final = 1_500_000_000


@dataclass(frozen=True, slots=True)
class MemoryChoice:
    """The mode, and one sentence that says what decided it."""

    mode: MemoryMode
    why: str


def choose_memory(
    asked: MemoryMode | None, device: torch.device, free: int | None, model_bytes: int, unet_bytes: int
) -> MemoryChoice:
    """The memory mode for a model of `model_bytes`, of which its UNet has `unet_bytes`, with `free` on the device.

    A CPU has one memory, so nothing is moved there, whatever the flags say.
    """
    if device.type != "cuda" or free is None:
        told = f"--{asked} has no effect on {device.type}, which shares main memory" if asked else "everything in place"
        return MemoryChoice("full", told)
    if asked is not None and asked != "full":
        return MemoryChoice(asked, f"{asked}, as the flag asks")
    need = model_bytes + WORKING_MEMORY
    room = f"{free / 1e9:.1f} GB free, {need / 1e9:.1f} GB wanted"
    if need <= free:
        return MemoryChoice("full", f"everything on the card ({room})")
    if unet_bytes + WORKING_MEMORY <= free:
        return MemoryChoice("medvram", f"one part on the card at a time ({room})")
    return MemoryChoice("lowvram", f"the UNet block by block ({room})")


def compute_device(module: nn.Module) -> torch.device:
    """Where `module` computes once it is called: in "medvram" and "lowvram" it waits in main memory until then."""
    brought_to = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return next(module.parameters()).device if brought_to is None else torch.device(brought_to)


def arrange(
    mode: MemoryMode,
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    text_encoder: CLIPTextModel,
    device: torch.device,
) -> None:
    """Put a model's parts, loaded into main memory, where `mode` wants them; each comes when it is called.

    "medvram" keeps the part that was called last on the device (accelerate's offload hooks). "lowvram" also streams the
    UNet block by block, the next block copied from pinned memory on a second stream while one computes (diffusers'
    group offloading), instead of moving each block and waiting for it.
    """
    if mode == "full":
        for part in (unet, vae, text_encoder):
            part.to(device)
        return
    _, hook = cpu_offload_with_hook(text_encoder, device)
    if mode == "lowvram":
        apply_group_offloading(
            unet,
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=device.type == "cuda",
        )
    else:
        _, hook = cpu_offload_with_hook(unet, device, prev_module_hook=hook)
    cpu_offload_with_hook(vae, device, prev_module_hook=hook)


def dissolve(*modules: nn.Module) -> None:
    """Take the hooks of `arrange` off again, so that nothing keeps a released module alive."""
    for module in modules:
        remove_hook_from_module(module, recurse=True)
