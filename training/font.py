"""Read the colour bitmaps of an emoji font (CBDT table) as RGBA pictures."""

from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont

from modules.pictures.opening import open_picture

SEARCH = (
    Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/noto/NotoColorEmoji.ttf"),
    Path("/usr/share/fonts/google-noto-emoji/NotoColorEmoji.ttf"),
)


def find_font() -> Path:
    """The installed Noto Color Emoji.

    Raises:
        FileNotFoundError: with what to install, when none of the usual places has it.
    """
    for path in SEARCH:
        if path.exists():
            return path
    raise FileNotFoundError("NotoColorEmoji.ttf was not found; install fonts-noto-color-emoji or pass --font.")


def read_glyphs(path: Path, characters: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Bitmaps of single characters: RGBA uint8 of about 128x136, as stored in the font."""
    font = TTFont(path)
    cmap = font.getBestCmap()
    if cmap is None:
        raise ValueError(f"{path.name} maps no characters to glyphs.")
    strike = font["CBDT"].strikeData[-1]
    glyphs = {}
    for character in characters:
        data = strike[cmap[ord(character)]].imageData
        glyphs[character] = np.asarray(open_picture(data, f"The glyph of {character}").convert("RGBA"))
    return glyphs
