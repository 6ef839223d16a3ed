"""Thinning white lines to one pixel, by Zhang and Suen (1984)."""

from __future__ import annotations

import numpy as np

from modules.features.controlnet.arrays import Grey


def thinned(lines: Grey) -> Grey:
    """`lines`, [height, width] of 0 and 255, with every stroke worn down to one pixel, as connected as before."""
    inside = np.pad(lines > 127, 1)
    while True:
        before = inside
        for first in (True, False):
            inside = inside & ~_worn(inside, first=first)
        if (inside == before).all():
            return np.where(inside[1:-1, 1:-1], np.uint8(255), np.uint8(0))


def _worn(inside: np.ndarray, *, first: bool) -> np.ndarray:
    """What one of the two alternating passes takes away."""
    north, south = np.roll(inside, 1, 0), np.roll(inside, -1, 0)
    east, west = np.roll(inside, -1, 1), np.roll(inside, 1, 1)
    # Clockwise from the pixel above.
    ring = [north, np.roll(north, -1, 1), east, np.roll(south, -1, 1), south, np.roll(south, 1, 1), west,
            np.roll(north, 1, 1)]  # fmt: skip
    neighbours = sum(one.astype(np.int8) for one in ring)
    rises = sum((~one & after).astype(np.int8) for one, after in zip(ring, [*ring[1:], ring[0]], strict=True))
    if first:
        free = ~(north & east & south) & ~(east & south & west)
    else:
        free = ~(north & east & west) & ~(north & south & west)
    return np.asarray(inside & (neighbours >= 2) & (neighbours <= 6) & (rises == 1) & free)
