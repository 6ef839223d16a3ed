"""How much memory a device has, and where a module computes."""

from __future__ import annotations

import torch
from torch import nn

from modules.hardware.available_memory import main_memory


def free_memory(device: torch.device) -> int | None:
    """Bytes that can be used on a CUDA device, those that torch holds in reserve among them; None on other devices."""
    if device.type != "cuda":
        return None
    idle = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + idle


def total_memory(device: torch.device) -> int | None:
    """Bytes that a CUDA device has; None on other devices, which share main memory."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None


def memory_now(device: torch.device) -> tuple[int, int]:
    """(free, total) bytes of the device, or of main memory where it shares that."""
    free, total = free_memory(device), total_memory(device)
    main = main_memory()
    return (main.available if free is None else free), (main.total if total is None else total)


def has_own_memory(device: torch.device) -> bool:
    """Whether what lies on the device takes no main memory, and the other way round."""
    return device.type == "cuda"


def move(module: nn.Module, target: torch.device | torch.dtype | str) -> None:
    """`module.to(target)`: diffusers overrides `to` with one that type checkers can't read."""
    module.to(target)


def module_bytes(module: nn.Module) -> int:
    """Bytes of a module's weights and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*module.parameters(), *module.buffers()))


def compute_device(module: nn.Module) -> torch.device:
    """Where `module` computes once it is called: in "medvram" and "lowvram" it lies in main memory until then."""
    onloaded_to = getattr(getattr(module, "_hf_hook", None), "execution_device", None)
    return next(module.parameters()).device if onloaded_to is None else torch.device(onloaded_to)
