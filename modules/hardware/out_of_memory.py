"""How an error says that memory ran out."""

from __future__ import annotations

from typing import Final

import torch

# What says so beside PyTorch's allocators, which have a type for it: the system; CUDA, the driver and triton where they
# allocate for themselves; cuBLAS and cuDNN.
_OUT_OF_MEMORY: Final = (
    *("not enough memory", "can't allocate memory", "DefaultCPUAllocator"),
    *(": out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _OUT_OF_MEMORY)
