"""The grid of a prompt matrix. As A1111 v1.10.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from modules.features.prompt_matrix.declare import PromptMatrixArguments
from modules.features.stage import Extra, Stage
from modules.pictures.legend import Word, legend_grid


def matrix_grid(stage: Stage, pictures: Sequence[Image.Image]) -> Iterator[Extra]:
    """The first half of the parts above the columns, the others beside the rows; what a picture lacks is struck out."""
    if not stage.makes_grid_of(pictures):
        return
    request, arguments = stage.resolved.request, stage.read(PromptMatrixArguments)
    prompt = request.prompt if arguments.prompt_type == "positive" else request.negative_prompt
    parts = [part.strip() for part in prompt.split("|")[1:]]
    half = (len(parts) + 1) // 2
    columns, rows = _words(parts[:half]), _words(parts[half:])
    yield Extra("prompt_matrix", legend_grid(pictures, columns, rows, stage.settings.grids, arguments.margin_size))


def _words(parts: list[str]) -> list[list[Word]]:
    return [
        [Word(part, bool(number >> bit & 1)) for bit, part in enumerate(parts)] for number in range(2 ** len(parts))
    ]
