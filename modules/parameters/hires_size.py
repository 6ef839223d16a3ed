"""The size of a hires pass. Behaviour reproduced: A1111 v1.10.1."""

from __future__ import annotations

from dataclasses import dataclass

from modules.parameters.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class HiresSize:
    """The size in pixels to which the first result is enlarged, and the latent cells cut off then (width, height)."""

    width: int
    height: int
    cut: tuple[int, int] = (0, 0)

    @property
    def final(self) -> tuple[int, int]:
        """Width and height in pixels after the cut."""
        return self.width - self.cut[0] * 8, self.height - self.cut[1] * 8


def hires_size(request: GenerationRequest) -> HiresSize:
    """By the scale, by one given side in proportion, or by two: then the picture covers them and is cut."""
    width, height, x, y = request.width, request.height, request.hr_resize_x, request.hr_resize_y
    if x == 0 and y == 0:
        return HiresSize(int(width * request.hr_scale), int(height * request.hr_scale))
    if y == 0:
        return HiresSize(x, x * height // width)
    if x == 0:
        return HiresSize(y * width // height, y)
    cover = (x, x * height // width) if width / height < x / y else (y * width // height, y)
    return HiresSize(*cover, cut=((cover[0] - x) // 8, (cover[1] - y) // 8))
