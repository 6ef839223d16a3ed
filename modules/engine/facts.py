"""What this process makes of its machine, as the message that the System page shows."""

from __future__ import annotations

from typing import Final

import torch

from modules.hardware.choice import Hardware
from modules.hardware.device import memory_now
from modules.hardware.memory import MemoryChoice
from modules.protocol import MachineFacts

_SHORT: Final = {
    torch.float32: "fp32",
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float8_e4m3fn: "fp8",
}


def machine_facts(hardware: Hardware, memory: MemoryChoice | None = None, weights: int = 0) -> MachineFacts:
    """The facts of now; `memory` and `weights` (bytes) are those of the loaded checkpoint, if one is loaded."""
    free, total = memory_now(hardware.device)
    return MachineFacts(
        device=str(hardware.device),
        device_name=hardware.device_name,
        unet_dtype=_SHORT[hardware.unet_dtype],
        vae_dtype=_SHORT[hardware.vae_dtype],
        text_dtype=_SHORT[hardware.text_dtype],
        dtype_why=hardware.why,
        attention=hardware.attention.name,
        attention_why=hardware.attention.why,
        channels_last=hardware.channels_last,
        threads=hardware.threads,
        memory_mode=memory.mode if memory else None,
        memory_why=memory.why if memory else "",
        free_memory=free,
        total_memory=total,
        weights=weights,
    )
