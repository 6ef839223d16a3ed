"""What weights in a prompt do to the vectors of its tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def apply_emphasis(hidden: Tensor, multipliers: Tensor, mode: str) -> Tensor:
    """Weigh each token's vector, and for `Original` bring the mean back to what it was.

    hidden: (texts, tokens, width); multipliers: (texts, tokens). The mean is taken over the whole tensor:
    where texts are read in chunks, of all texts of one schedule together, as A1111 does.
    """
    if mode in ("Ignore", "None"):
        return hidden
    weighted = hidden * multipliers.to(hidden.dtype).unsqueeze(-1)
    if mode == "Original":
        before, after = hidden.mean(), weighted.mean()
        # Encodings whose mean is zero have nothing to be brought back to.
        return weighted * torch.where(after == 0, torch.ones_like(after), before / after)
    return weighted
