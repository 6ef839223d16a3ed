"""What a job failed with, as one sentence for the person who submitted it."""

from __future__ import annotations

import torch

from modules.hardware.choice import Hardware
from modules.hardware.out_of_memory import is_out_of_memory


def is_lost(device: torch.device) -> bool:
    """Whether a card refuses all further work of this process. Waits for the device.

    CUDA does so after an illegal access, or after an assertion that failed in a kernel.
    """
    # An error that concerns one call only may be raised by the next one, and once.
    return device.type == "cuda" and all(_refuses(device) for _ in range(2))


def _refuses(device: torch.device) -> bool:
    try:
        torch.cuda.synchronize(device)
    except RuntimeError:
        return True
    return False


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
