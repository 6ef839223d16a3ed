"""The way back from a picture to noise: Euler's method from noise level 0 to the highest.

dx/dsigma = (x - denoised(x; sigma)) / sigma, followed with growing sigma: Song et al. (2020), arXiv:2010.02502, section
4.3, in the form of Karras et al. (2022), arXiv:2206.00364.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def euler_inversion(
    denoise: Callable[[Tensor, Tensor], Tensor],
    latent: Tensor,
    levels: Tensor,
    on_step: Callable[[int, Tensor], None],
    *,
    from_below: bool = False,
) -> Tensor:
    """What `latent`, (images, channels, height, width), becomes at the last of the rising `levels` on the CPU.

    `denoise(x, level)` gives the estimate, and `on_step(number, estimate)` is called after each step, counted from 1.
    Each step's direction is that at the level it goes to, or with `from_below` that at the level it comes from.
    """
    x = latent
    for step in range(1, len(levels)):
        level = levels[step - 1] if from_below else levels[step]
        # At level 0 the picture is its own estimate: there is no direction to go.
        if level > 0:
            denoised = denoise(x, level)
            x = x + (x - denoised) / level * (levels[step] - levels[step - 1])
            on_step(step, denoised)
    return x
