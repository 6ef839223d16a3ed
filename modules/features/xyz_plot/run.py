"""The grids of X/Y/Z plot. As A1111 v1.10.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PIL import Image

from modules.features.stage import Extra, Stage
from modules.features.xyz_plot.declare import XyzArguments
from modules.parameters.xyz import axes_of, grid_facts
from modules.pictures.legend import Word, legend_grid

_KIND = "xyz_grid"
_NO_WORDS = [[Word("")]]


def xyz_grids(stage: Stage, pictures: Sequence[Image.Image]) -> Iterator[Extra]:
    """One grid of X and Y for each value of Z, and where there are several one of them all, which comes first."""
    if not stage.makes_grid_of(pictures):
        return
    arguments, options = stage.read(XyzArguments), stage.settings.grids
    axes = axes_of(arguments, stage.resolved.request.mode)
    columns, rows, layers = ([[Word(word)] for word in one.words] for one in axes)
    if not arguments.draw_legend:
        columns, rows, layers = (_NO_WORDS * len(words) for words in (columns, rows, layers))
    cells, margin = len(columns) * len(rows), arguments.margin_size
    grids = [
        legend_grid(pictures[first : first + cells], columns, rows, options, margin)
        for first in range(0, len(pictures), cells)
    ]
    if len(grids) == 1:
        yield Extra(_KIND, grids[0], 0, dict(grid_facts(arguments, axes, whole=True)))
        return
    whole = legend_grid(grids, layers, _NO_WORDS, options, margin)
    yield Extra(_KIND, whole, 0, dict(grid_facts(arguments, axes, whole=True)))
    if arguments.include_sub_grids and cells > 1:
        for number, grid in enumerate(grids):
            # The first picture's place is taken by the whole grid.
            facts = dict(grid_facts(arguments, axes, whole=False))
            yield Extra(_KIND, grid, number * cells + 1, facts)
