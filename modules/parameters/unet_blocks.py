"""The blocks of a UNet as the extensions for block weights name them: IN00…, M00, OUT00…, and BASE."""

from collections.abc import Iterable
from typing import Final

# Everything outside the UNet: the text encoders.
BASE: Final = "BASE"
MIDDLE: Final = "M00"
_SIDES: Final = {"input_blocks": "IN", "output_blocks": "OUT"}
# How many blocks there are on the way in, and on the way out: in Stable Diffusion 1 and 2, and in SDXL.
DEPTHS: Final = (12, 9)


def blocks(into: Iterable[int], out: Iterable[int]) -> tuple[str, ...]:
    """The names of these blocks on the way in, of the middle one, and of these on the way out."""
    return (*(f"IN{n:02}" for n in into), MIDDLE, *(f"OUT{n:02}" for n in out))


def all_blocks(depth: int) -> tuple[str, ...]:
    """All blocks of a UNet with so many on the way in."""
    return blocks(range(depth), range(depth))


def block_of(layer: str) -> str:
    """The block that a layer is in, by its name in the original layout: `input_blocks.4.1.proj_in` → IN04.

    "" outside of blocks.
    """
    side, _, rest = layer.partition(".")
    number = rest.partition(".")[0]
    if side == "middle_block":
        return MIDDLE
    return f"{_SIDES[side]}{int(number):02}" if side in _SIDES and number.isdecimal() else ""
