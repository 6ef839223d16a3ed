"""Tiled Diffusion: the UNet answers for overlapping tiles of the latent, and each cell takes the mean of its tiles.

MultiDiffusion, Bar-Tal et al. (2023), arXiv:2302.08113: out = sum over tiles t of w_t · UNet(x in t) / sum of w_t, all
w_t 1. Mixture of Diffusers, Jiménez (2023), arXiv:2302.02412: w_t is a Gaussian about the tile's middle, so that no
seam shows where tiles end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from modules.features.running import FeatureJob
from modules.features.self_attention_guidance.declare import SELF_ATTENTION_GUIDANCE
from modules.features.tiled_diffusion.declare import KEY, MIXTURE, TiledDiffusionArguments
from modules.features.tiled_diffusion.noise_inversion import noise_inversion
from modules.generation.passes import latent_shape
from modules.generation.pipeline import JobFeature, PassContext, PassHook
from modules.parameters import RequestError
from modules.sampling import Conditioning, UNet, Window

# Of the Gaussian, in tiles.
_VARIANCE: Final = 0.01
# Between two tiles at least so many cells are new.
_LEAST_STEP: Final = 4


def tile_starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Where tiles begin along an axis: as few as cover it with at least `overlap` in common, evenly spread."""
    if tile >= length:
        return (0,)
    overlap = min(overlap, tile - _LEAST_STEP)
    count = math.ceil((length - overlap) / (tile - overlap))
    return tuple(number * (length - tile) // (count - 1) for number in range(count))


def windows_of(cells: tuple[int, int], arguments: TiledDiffusionArguments) -> tuple[Window, ...]:
    """The tiles of a latent of (height, width) cells, row by row."""
    high, wide = min(arguments.tile_height, cells[0]), min(arguments.tile_width, cells[1])
    lefts = tile_starts(cells[1], wide, arguments.overlap)
    tops = tile_starts(cells[0], high, arguments.overlap)
    return tuple(Window(left, top, wide, high, cells) for top in tops for left in lefts)


def tile_weights(height: int, width: int, *, gaussian: bool) -> Tensor:
    """How much a tile counts in each of its cells, (height, width)."""
    if not gaussian:
        return torch.ones(height, width)

    def bell(cells: int) -> Tensor:
        away = (torch.arange(cells) - (cells - 1) / 2) / cells
        return torch.exp(-(away**2) / (2 * _VARIANCE))

    return bell(height)[:, None] * bell(width)[None, :]


class TiledDiffusion(PassHook):
    """Has the UNet answer for `windows`, `batch_size` of them in one forward, weighed by `weights` (height, width)."""

    def __init__(self, windows: Sequence[Window], weights: Tensor, batch_size: int) -> None:
        self._windows = tuple(windows)
        self._weights = weights
        self._batch_size = batch_size
        total = torch.zeros(windows[0].whole)
        for window in windows:
            window.cut(total).add_(weights)
        self._shares = [weights / window.cut(total) for window in windows]

    @property
    def shares(self) -> list[Tensor]:
        """How much each tile counts in each of its cells: 1 together in each cell of the picture."""
        return self._shares

    def forward_cells(self, cells: tuple[int, int]) -> tuple[int, int]:
        return self._windows[0].height, self._windows[0].width

    def around(self, unet: UNet) -> UNet:
        def tiled(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            whole: Tensor | None = None
            for start in range(0, len(self._windows), self._batch_size):
                windows = self._windows[start : start + self._batch_size]
                answers = unet(
                    # The tiles of a row one after the other, so that rows of negative prompts stay last.
                    torch.stack([window.cut(x) for window in windows], dim=1).flatten(0, 1),
                    timesteps.repeat_interleave(len(windows)),
                    for_tiles(conditioning, windows),
                )
                answers = answers.view(x.shape[0], len(windows), *answers.shape[1:])
                if whole is None:
                    whole = answers.new_zeros(x.shape[0], answers.shape[2], *x.shape[2:])
                for place, window in enumerate(windows):
                    share = self._shares[start + place].to(answers)
                    window.cut(whole).add_(answers[:, place] * share)
            assert whole is not None
            return whole

        return tiled


def for_tiles(conditioning: Conditioning, windows: Sequence[Window]) -> Conditioning:
    """Each row for each of the tiles."""
    count = len(windows)
    return replace(
        conditioning,
        context=conditioning.context.repeat_interleave(count, dim=0),
        added={name: rows.repeat_interleave(count, dim=0) for name, rows in conditioning.added.items()},
        negative_rows=conditioning.negative_rows * count,
        windows=tuple(windows) * conditioning.rows,
        signs=None if conditioning.signs is None else conditioning.signs.repeat_interleave(count, dim=0),
    )


class TiledDiffusionFeature(JobFeature):
    """The tiles of every pass of a job, and the noise that its pictures begin with."""

    def __init__(self, job: FeatureJob) -> None:
        self._arguments = TiledDiffusionArguments.of(job.resolved.request.scripts)
        self._stopped = job.leave

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        # The tiles first: the way back from a picture goes through them.
        return (*_tiles(self._arguments, context), *noise_inversion(self._arguments, context, self._stopped))


def _tiles(arguments: TiledDiffusionArguments, context: PassContext) -> Sequence[PassHook]:
    """None where one tile holds the picture."""
    cells = latent_shape(context.pipeline, context.work.spec.size)[1:]
    windows = windows_of(cells, arguments)
    if len(windows) == 1:
        return ()
    if SELF_ATTENTION_GUIDANCE.title in context.resolved.request.scripts:
        raise RequestError(
            f"{KEY} and {SELF_ATTENTION_GUIDANCE.title} don't go together: it looks at the whole picture."
        )
    weights = tile_weights(windows[0].height, windows[0].width, gaussian=arguments.method == MIXTURE)
    return (TiledDiffusion(windows, weights.to(context.pipeline.device), arguments.batch_size),)
