"""Small picture files with infotext, as programs write them."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

VERSION = "v1.10.1-1-w0.2.0"


def infotext(prompt: str, negative: str = "", *, seed: int = 1, steps: int = 20, **more: object) -> str:
    """`more` are further keys; `_` stands for a blank."""
    values = {"Steps": steps, "Sampler": "Euler a", "CFG scale": 7, "Seed": seed, "Size": "64x64", "Model": "anime"}
    values |= {key.replace("_", " "): value for key, value in more.items()}
    line = ", ".join(f"{key}: {value}" for key, value in values.items())
    parts = [prompt, *([f"Negative prompt: {negative}"] if negative else []), f"{line}, Version: {VERSION}"]
    return "\n".join(parts)


def write_picture(
    path: Path,
    text: str = "",
    *,
    size: tuple[int, int] = (64, 64),
    colour: tuple[int, int, int] = (200, 60, 30),
    when: float | None = None,
) -> Path:
    """A PNG with this infotext; `when` is its modification time in seconds since 1970."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    if text:
        info.add_text("parameters", text)
    Image.new("RGB", size, colour).save(path, "PNG", pnginfo=info)
    if when is not None:
        os.utime(path, (when, when))
    return path
