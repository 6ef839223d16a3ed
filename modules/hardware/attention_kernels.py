"""The sums of attention, by how much memory they take at once. All give the same answer up to rounding.

Each takes query [rows, heads, tokens, channels], key and value [rows, heads, context tokens, channels], and returns
what the values add up to, in the query's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from modules.hardware.device import free_memory

Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]

# Free memory is not all for one attention's scores: softmax needs a second copy, and what follows needs room too.
_SHARE_OF_FREE: Final = 0.25
# Where the free memory is unknown: 512 MB of scores in 16 bits.
_SCORES_ELSEWHERE: Final = 1 << 28


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """PyTorch's own choice among its kernels."""
    return scaled_dot_product_attention(query, key, value)


def repeatable(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Without the memory-efficient kernel, whose sums run in an order that changes between two calls."""
    with sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH]):
        return scaled_dot_product_attention(query, key, value)


def by_queries(query: Tensor, key: Tensor, value: Tensor, *, chunk: int) -> Tensor:
    """A few queries at a time, so that memory grows with `chunk` × keys, not queries × keys.

    Each query's softmax is complete within its chunk, so nothing has to be rescaled.
    """
    if chunk >= query.shape[2]:
        return scaled_dot_product_attention(query, key, value)
    return torch.cat(
        [scaled_dot_product_attention(part, key, value) for part in torch.split(query, chunk, dim=2)], dim=2
    )


def within(query: Tensor, key: Tensor, value: Tensor, *, scores: int) -> Tensor:
    """As many queries at a time as give at most `scores` numbers between queries and keys."""
    per_query = query.shape[0] * query.shape[1] * key.shape[2]
    return by_queries(query, key, value, chunk=max(1, scores // per_query))


def by_free_memory(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Slices as large as a quarter of the device's free memory allows."""
    free = free_memory(query.device)
    scores = _SCORES_ELSEWHERE if free is None else int(free * _SHARE_OF_FREE) // query.element_size()
    return within(query, key, value, scores=scores)


def sub_quadratic(
    query: Tensor, key: Tensor, value: Tensor, *, query_chunk: int, key_chunk: int | None, threshold: int | None
) -> Tensor:
    """Chunks of queries and, with `key_chunk`, of keys: "Self-attention does not need O(n²) memory", arXiv:2112.05682.

    Not chunked at all while the scores fit into `threshold` per cent of the device's free memory.
    """
    if threshold is not None and _scores_bytes(query, key) <= (free_memory(query.device) or 0) * threshold / 100:
        return scaled_dot_product_attention(query, key, value)
    if key_chunk is None or key_chunk >= key.shape[2]:
        return by_queries(query, key, value, chunk=query_chunk)
    return torch.cat(
        [_over_keys(part, key, value, key_chunk) for part in torch.split(query, query_chunk, dim=2)], dim=2
    )


def _over_keys(query: Tensor, key: Tensor, value: Tensor, chunk: int) -> Tensor:
    """Softmax over keys that come in parts: sums so far are rescaled to the largest score seen, in 32 bits."""
    largest = query.new_full((*query.shape[:3], 1), -torch.inf, dtype=torch.float32)
    weights = torch.zeros_like(largest)
    total = query.new_zeros((*query.shape[:3], value.shape[3]), dtype=torch.float32)
    scaled = query.float() * query.shape[3] ** -0.5
    for keys, values in zip(torch.split(key, chunk, dim=2), torch.split(value, chunk, dim=2), strict=True):
        scores = scaled @ keys.float().transpose(2, 3)
        higher = torch.maximum(largest, scores.amax(dim=3, keepdim=True))
        shrink = torch.exp(largest - higher)
        exponents = torch.exp(scores - higher)
        weights = weights * shrink + exponents.sum(dim=3, keepdim=True)
        total = total * shrink + exponents @ values.float()
        largest = higher
    return (total / weights).to(query.dtype)


def _scores_bytes(query: Tensor, key: Tensor) -> int:
    return query.shape[0] * query.shape[1] * query.shape[2] * key.shape[2] * query.element_size()
