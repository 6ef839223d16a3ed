"""Units that change each step's estimate of the finished latent by that of their own picture.

Behaviour reproduced: inpaint_only and tile_colorfix of sd-webui-controlnet 1.1.455. There each answer of the UNet is
changed; what guidance makes of such answers is the same as what is made of its estimate here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from modules.generation.pipeline import PassHook
from modules.sampling import GuidedCall
from modules.sampling.control import is_within

# A mask's pixels reach one pixel into the cells around their own.
_CELL, _REACH = 8, 1
_SHARPNESS: Final = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class HeldPicture:
    """A unit's picture whose parts outside of a mask the steps hold on to: its scaled `latent`, (1, channels, height,
    width), and where is painted, `painted`, (1, 1, height, width) from 0 to 1. `weight` is how much it is held on to.

    With `first` the run starts from that latent as noisy as at the last timestep, `first` being its share of signal.
    """

    latent: Tensor
    painted: Tensor
    weight: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)
    first: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ColourPicture:
    """A unit's picture whose colours the steps take over: its scaled `latent`, (1, channels, height, width).

    What is wider than `reach` cells is a colour. `sharpness` is by how many percent the negative prompt's answer loses
    what is finer, which guidance then strengthens.
    """

    latent: Tensor
    reach: int
    sharpness: float = 0.0
    weight: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)


def painted_cells(mask: Tensor) -> Tensor:
    """Which cells of the latent a mask, (1, 1, height, width) from 0 to 1, touches: (1, 1, height / 8, width / 8)."""
    return functional.max_pool2d(mask, _CELL + 2 * _REACH, stride=_CELL, padding=_REACH)


class HeldPictures(PassHook):
    """The pictures that a pass of `steps` holds on to outside of their masks."""

    def __init__(self, pictures: Sequence[HeldPicture], steps: int) -> None:
        self._pictures = tuple(pictures)
        self._steps = steps

    def first_noise(self, noise: Tensor) -> Tensor:
        """The noise with a picture in it, of which there is a little left at the last timestep of training."""
        for one in self._pictures:
            if one.first is not None:
                noise = one.latent.to(noise) * one.first**0.5 + noise * (1 - one.first) ** 0.5
        return noise

    def guide(self, guided: GuidedCall) -> Tensor:
        """The estimate where is painted, elsewhere the pictures."""
        estimate = guided.combined
        # On the device from the first call on; a tensor that is there stays the same.
        self._pictures = tuple(
            replace(one, latent=one.latent.to(estimate), painted=one.painted.to(estimate)) for one in self._pictures
        )
        for one in self._pictures:
            if is_within(one.window, guided.at, self._steps):
                held = estimate * one.painted + one.latent * (1 - one.painted)
                estimate = torch.lerp(estimate, held, one.weight)
        return estimate


class ColourPictures(PassHook):
    """The pictures whose colours a pass of `steps` takes over."""

    def __init__(self, pictures: Sequence[ColourPicture], steps: int) -> None:
        self._pictures = tuple(pictures)
        self._steps = steps

    def guide(self, guided: GuidedCall) -> Tensor:
        """The estimate with the pictures' colours for its own."""
        self._pictures = tuple(replace(one, latent=one.latent.to(guided.combined)) for one in self._pictures)
        for one in self._pictures:
            if is_within(one.window, guided.at, self._steps):
                guided = guided.after(_coloured(one, guided))
        return guided.combined


def _coloured(picture: ColourPicture, guided: GuidedCall) -> Tensor:
    wanted = blurred_cells(picture.latent, picture.reach)
    made = guided.combined - blurred_cells(guided.combined, picture.reach) + wanted
    if picture.sharpness and guided.uncond is not None:
        negative = guided.uncond - blurred_cells(guided.uncond, picture.reach) + wanted
        finer = negative - blurred_cells(negative, picture.reach)
        softer = replace(guided, uncond=guided.uncond - finer * (picture.sharpness * _SHARPNESS))
        made = made + softer.guided(guided.scale) - guided.guided(guided.scale)
    return torch.lerp(guided.combined, made, min(picture.weight, 1.0))


def blurred_cells(latent: Tensor, reach: int) -> Tensor:
    """The mean of the cells up to `reach` away across and down; beyond an edge its cells go on."""
    padded = functional.pad(latent, (reach,) * 4, mode="replicate")
    # Across, then down: the same mean in far fewer additions.
    across = functional.avg_pool2d(padded, (1, 2 * reach + 1), stride=1)
    return functional.avg_pool2d(across, (2 * reach + 1, 1), stride=1)
