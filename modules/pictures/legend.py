"""A grid with words above its columns and beside its rows, in A1111's arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from modules.parameters.output_options import GridOptions
from modules.pictures.grids import DEFAULTS, rgb

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_SMALLEST_FONT: Final = 8
_LONGEST_TEXT: Final = 1000


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the legend; one that is not `active` is grey and struck through."""

    text: str
    active: bool = True


Texts = Sequence[Sequence[Word]]


def legend_grid(
    pictures: Sequence[Image.Image], columns: Texts, rows: Texts, options: GridOptions, margin: int = 0
) -> Image.Image:
    """`pictures` row by row, `margin` pixels apart, with `columns` and `rows` of words where there are any."""
    sizes = [picture.size for picture in pictures]
    width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
    across, down = len(columns), len(rows)
    size = (width + height) // 25
    font = _font(size)
    left = width * 3 // 4 if any(word.text for words in rows for word in words) else 0
    above = [_wrapped(words, font, width) for words in columns]
    beside = [_wrapped(words, font, left) for words in rows]
    gap = size // 2
    top = max((_height(lines, size) for lines in above), default=0)
    top = top + 2 * gap if any(word.text for words in columns for word in words) else 0
    grid = Image.new(
        "RGB",
        (left + across * width + margin * (across - 1), top + down * height + margin * (down - 1)),
        rgb(options.background_color, DEFAULTS.background_color),
    )
    for index, picture in enumerate(pictures):
        row, column = divmod(index, across)
        place = left + column * (width + margin), top + row * (height + margin)
        grid.paste(picture, (place[0] + (width - picture.width) // 2, place[1] + (height - picture.height) // 2))
    draw = ImageDraw.Draw(grid)
    active = rgb(options.text_active_color, DEFAULTS.text_active_color)
    inactive = rgb(options.text_inactive_color, DEFAULTS.text_inactive_color)
    for column, lines in enumerate(above if top else ()):
        middle = left + column * (width + margin) + width // 2, top // 2
        _write(draw, lines, middle, font, size, active, inactive)
    for row, lines in enumerate(beside if left else ()):
        middle = left // 2, top + row * (height + margin) + height // 2
        _write(draw, lines, middle, font, size, active, inactive)
    return grid


def _font(size: int) -> Font:
    # Pillow brings one font along, so the legend looks the same everywhere.
    return ImageFont.load_default(max(size, _SMALLEST_FONT))


def _wrapped(words: Sequence[Word], font: Font, width: int) -> list[Word]:
    """One `Word` for each line that fits `width`; a single word that does not is left as it is."""
    lines = []
    for word in words:
        line = ""
        for part in word.text[:_LONGEST_TEXT].split():
            longer = f"{line} {part}".strip()
            if line and font.getlength(longer) > width:
                lines.append(Word(line, word.active))
                line = part
            else:
                line = longer
        lines.append(Word(line, word.active))
    return lines


def _height(lines: Sequence[Word], size: int) -> int:
    return len(lines) * (size + size // 2)


def _write(
    draw: ImageDraw.ImageDraw,
    lines: Sequence[Word],
    middle: tuple[int, int],
    font: Font,
    size: int,
    active: tuple[int, ...],
    inactive: tuple[int, ...],
) -> None:
    step = size + size // 2
    y = middle[1] - _height(lines, size) // 2 + step // 2
    for line in lines:
        draw.text((middle[0], y), line.text, font=font, fill=active if line.active else inactive, anchor="mm")
        if not line.active:
            half = int(font.getlength(line.text)) // 2
            draw.line((middle[0] - half, y, middle[0] + half, y), fill=inactive, width=max(1, size // 12))
        y += step
