"""What a job died of, as one sentence for the person who asked for it."""

from __future__ import annotations

from typing import Final

import torch

from modules.hardware.choice import Hardware

_CPU_OUT_OF_MEMORY: Final = ("not enough memory", "can't allocate memory", "DefaultCPUAllocator")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _CPU_OUT_OF_MEMORY)


def sentence_for(error: BaseException, hardware: Hardware) -> str:
    """One sentence: errors of ours are written as one, anything else is named with its type."""
    if is_out_of_memory(error):
        return (
            f"Not enough memory on {hardware.device}: choose a smaller size or batch size, "
            "or start with --medvram or --lowvram."
        )
    if type(error).__module__.startswith("modules.") and str(error):
        return str(error)
    text = str(error).strip().splitlines()
    return f"The engine failed with {type(error).__name__}: {text[0] if text else 'no message'} (details in the log)."
