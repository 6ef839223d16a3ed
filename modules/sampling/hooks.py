"""What a feature may do in a sampling run: change what the model is shown, and how its answers are weighed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from modules.sampling.conditioning import RowWeight, total_weight


@dataclass(frozen=True, slots=True)
class CallPosition:
    """Where a run is: call number `call` of about `calls`, counted from 0, for these `images` of its batch.

    Samplers of second order call twice a step.
    """

    call: int
    calls: int
    images: range

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        return min(self.call / max(self.calls, 1), 1.0)

    def is_within(self, start: float, end: float) -> bool:
        """Whether the share of calls that are over lies from `start` to `end`: both are shares of the run."""
        return start <= self.share <= end


@dataclass(frozen=True, slots=True)
class GuidedCall:
    """The answers to one call, as estimates of the finished latent, whatever the sampler works with.

    `x` is the latent at noise level `level` (a sigma, or a timestep), (images, channels, height, width). `conds` are
    the answers to the prompts' texts, (rows, channels, height, width), of which row r belongs to image `owners[r][0]`
    with weight `owners[r][1]`, a tensor where that differs from place to place; `uncond`, (images, ...), is that to the
    negative prompt, or None where its call was spared. `combined` is what guidance at `scale` made of them, and what
    the hooks before this one made of that. `predict(x, negative)` calls the model once more, with the prompts' texts
    (rows) or the negative prompts (images). `image_scale` is what the finished latent is multiplied by in `x`: 1 where
    levels are sigmas.
    """

    x: Tensor
    level: Tensor
    at: CallPosition
    conds: Tensor
    uncond: Tensor | None
    combined: Tensor
    scale: float
    owners: tuple[tuple[int, RowWeight], ...]
    predict: Callable[[Tensor, bool], Tensor]
    image_scale: float = 1.0

    @property
    def cond(self) -> Tensor:
        """One answer to the prompt of each image: with AND the weighted mean of its texts' answers."""
        return self.of_images(self.conds)

    def of_images(self, rows: Tensor) -> Tensor:
        """The weighted mean of each image's rows: (rows, ...) -> (images, ...)."""
        if len(self.owners) == self.x.shape[0]:
            return rows
        made = torch.zeros_like(self.combined)
        for row, (image, weight) in enumerate(self.owners):
            made[image] += rows[row] * weight
        for image in range(self.x.shape[0]):
            made[image] /= total_weight([weight for owner, weight in self.owners if owner == image])
        return made

    def guided(self, scale: float) -> Tensor:
        """What classifier-free guidance at another `scale` makes of the answers."""
        if self.uncond is None:
            return self.combined
        combined = self.uncond.clone()
        for row, (image, weight) in enumerate(self.owners):
            combined[image] += (self.conds[row] - self.uncond[image]) * (weight * scale)
        return combined

    def after(self, combined: Tensor) -> GuidedCall:
        """The same call for the hook that follows."""
        return replace(self, combined=combined)


class SamplingHook:
    """What a feature does in one sampling run. A method that is left as it is does nothing, and costs nothing."""

    def begin_call(self, at: CallPosition) -> None:
        """Called before each call of the model. What it raises ends the run."""

    def shown_level(self, level: Tensor, at: CallPosition, *, negative: bool) -> Tensor:
        """The noise level that the model is given for the rows of prompts, or of negative prompts."""
        return level

    def spares_negative(self, at: CallPosition) -> bool:
        """Whether this call goes without the negative prompt: the answer to the prompt alone is what counts."""
        return False

    def guide(self, guided: GuidedCall) -> Tensor:
        """The estimate of the finished latent that the sampler goes on with, of `guided.combined`'s shape."""
        return guided.combined


Hook = TypeVar("Hook", bound=SamplingHook)


def overriding(hooks: Sequence[Hook], method: str, base: type[SamplingHook] = SamplingHook) -> tuple[Hook, ...]:
    """Those of `hooks` whose class has a `method` of its own, and not that of `base`."""
    return tuple(hook for hook in hooks if getattr(type(hook), method) is not getattr(base, method))
