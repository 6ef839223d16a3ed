"""Loopback: each pass starts from the picture before it. As A1111 v1.10.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from PIL import Image

from modules.features.loopback.declare import LoopbackArguments
from modules.features.stage import Extra, Stage
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import mask_hook
from modules.parameters import ResolvedRequest
from modules.pictures.grids import image_grid


def loopback(stage: Stage, index: int) -> Image.Image:
    """Picture `index`: from the one before it, or from the start where a batch begins."""
    start = stage.pictures[0]
    resolved = stage.resolved.of_image(index)
    picture = start if index % loops(stage.resolved) == 0 else _before(stage, index)
    rounded = resolved.request.mask_round and mask_hook(stage.pipeline.features(resolved)) is None
    source = prepare_init_picture(resolved, picture, stage.mask, stage.resize, rounded=rounded)
    # The colours that are kept are those of the very first picture, not of the last loop's.
    return stage.over(resolved, replace(source, colours=start))


def _before(stage: Stage, index: int) -> Image.Image:
    # After a restart it may be on disk only in a format that loses something: then it is made again, to go on from.
    return stage.known(index - 1) or loopback(stage, index - 1)


def loops(resolved: ResolvedRequest) -> int:
    """How many pictures hang together."""
    return LoopbackArguments.of(resolved.request.scripts).loops


def loopback_grid(stage: Stage, pictures: Sequence[Image.Image]) -> Iterator[Extra]:
    """The loops in one row; of several batches the last picture of each."""
    several = stage.resolved.request.n_iter > 1
    shown = pictures[loops(stage.resolved) - 1 :: loops(stage.resolved)] if several else pictures
    if len(shown) > 1 and stage.makes_grid_of(shown):
        yield Extra("grid", image_grid(shown, 1, replace(stage.settings.grids, rows=1)))
