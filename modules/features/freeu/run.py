"""FreeU: at the joins of the decoder, features are made stronger and the low frequencies of skips weaker.

Si et al. (2023), arXiv:2309.11497: out = [b · h, FFT⁻¹(s · FFT(skip))], b over half of h's channels, s over the middle
2 × 2 of the spectrum. Where the features h have four times the model's first width, b and s are b1 and s1, at twice
that width b2 and s2. In version 2, that of the authors' code, b is (b - 1) · m + 1 for m, the mean of h's channels at
each place, brought to 0 to 1 image by image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, fft, nn

from modules.features.each_pass import each_pass
from modules.features.freeu.declare import FreeUArguments
from modules.generation.module_hooks import decoder_joins, first_width, module_hooks
from modules.generation.pipeline import PassContext, PassHook
from modules.sampling import CallPosition

# What is called before a module, with what it is given: it may give something else.
PreHook = Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...] | None]


def stronger(h: Tensor, b: float, *, by_mean: bool) -> Tensor:
    """Features (rows, channels, height, width) with the first half of their channels times `b`."""
    half = h.shape[1] // 2
    factor: Tensor | float = b
    if by_mean:
        mean = h.mean(1, keepdim=True)
        low, high = mean.amin((2, 3), keepdim=True), mean.amax((2, 3), keepdim=True)
        factor = (b - 1) * (mean - low) / (high - low).clamp_min(torch.finfo(h.dtype).tiny) + 1
    return torch.cat([h[:, :half] * factor, h[:, half:]], dim=1)


def low_scaled(skip: Tensor, s: float) -> Tensor:
    """`skip` (rows, channels, height, width) with its lowest frequencies times `s`. Computed in 32 bits."""
    spectrum = fft.fftshift(fft.fftn(skip.float(), dim=(-2, -1)), dim=(-2, -1))
    row, column = skip.shape[-2] // 2, skip.shape[-1] // 2
    spectrum[..., max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] *= s
    scaled: Tensor = fft.ifftn(fft.ifftshift(spectrum, dim=(-2, -1)), dim=(-2, -1)).real
    return scaled.to(skip.dtype)


class FreeU(PassHook):
    """Changes what the decoder's blocks are given, while the share of the run is within the arguments'."""

    def __init__(self, arguments: FreeUArguments) -> None:
        self._arguments = arguments
        self._acts = False

    def begin_call(self, at: CallPosition) -> None:
        self._acts = at.is_within(self._arguments.start, self._arguments.end)

    @contextmanager
    def patched(self, unet: UNet2DConditionModel) -> Iterator[None]:
        own, base = self._arguments, first_width(unet)
        scales = {base * 4: (own.b1, own.s1), base * 2: (own.b2, own.s2)}
        with module_hooks(unet) as add:
            for block, width in decoder_joins(unet):
                if width in scales:
                    add(block.register_forward_pre_hook(self._joining(width, *scales[width])))
            yield

    def _joining(self, width: int, b: float, s: float) -> PreHook:
        def join(_block: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if not self._acts:
                return None
            h, skip = inputs[0][:, :width], inputs[0][:, width:]
            by_mean = self._arguments.version == "2"
            return torch.cat([stronger(h, b, by_mean=by_mean), low_scaled(skip, s)], dim=1), *inputs[1:]

        return join


def _hooks_of(arguments: FreeUArguments, context: PassContext) -> Sequence[PassHook]:
    """None where all four scales are 1."""
    neutral = arguments.b1 == arguments.b2 == arguments.s1 == arguments.s2 == 1
    return () if neutral else (FreeU(arguments),)


freeu = each_pass(FreeUArguments, _hooks_of)
