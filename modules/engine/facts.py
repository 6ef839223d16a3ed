"""What this process makes of its machine, as the message that the System page shows."""

from __future__ import annotations

from typing import Final

import torch

from modules.hardware.attention import AttentionChoice
from modules.hardware.budget import MemoryPlan
from modules.hardware.choice import Hardware
from modules.hardware.device import memory_now
from modules.protocol import CachedModel, MachineFacts

_SHORT: Final = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
}


def machine_facts(
    hardware: Hardware,
    attention: AttentionChoice,
    memory: MemoryPlan | None = None,
    weights: int = 0,
    *,
    in_8_bits: bool = False,
    fast_mode: str = "",
    cached: tuple[CachedModel, ...] = (),
) -> MachineFacts:
    """The facts of now; `memory` and `weights` (bytes) are those of the checkpoint in use, `cached` is beside it."""
    free, total = memory_now(hardware.device)
    return MachineFacts(
        device=str(hardware.device),
        device_name=hardware.device_name,
        unet_dtype=_SHORT[hardware.unet_dtype] + (", stored in fp8" if in_8_bits else ""),
        vae_dtype=_SHORT[hardware.vae_dtype],
        text_dtype=_SHORT[hardware.text_dtype],
        dtype_why=hardware.why,
        attention=attention.name + (", in 32 bits" if attention.upcast else ""),
        attention_why=attention.why,
        channels_last=hardware.channels_last,
        threads=hardware.threads,
        memory_mode=memory.mode if memory else None,
        memory_why=memory.why if memory else "",
        free_memory=free,
        total_memory=total,
        weights=weights,
        fast_mode=fast_mode,
        cached=cached,
    )
