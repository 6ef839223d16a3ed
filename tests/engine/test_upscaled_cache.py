"""Upscaled pictures kept for the next run."""

from __future__ import annotations

import pytest
from PIL import Image

from modules.engine import upscaled_cache
from modules.engine.upscaled_cache import UpscaledCache


def test_a_picture_is_made_once_for_each_way_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, made = UpscaledCache(), []

    def get(colour: str, how: str, most: int = 2) -> Image.Image:
        image = Image.new("RGB", (4, 4), colour)

        def make() -> Image.Image:
            made.append((colour, how))
            return image.resize((8, 8))

        return cache.get(image, how, most, make)

    assert get("red", "a") is get("red", "a")
    get("red", "b")
    get("red", "a")
    get("blue", "a")
    assert made == [("red", "a"), ("red", "b"), ("blue", "a")]
    get("red", "b")
    assert made[3:] == [("red", "b")]
    monkeypatch.setattr(upscaled_cache, "MOST_BYTES", 200)
    assert get("blue", "a", 9).size == (8, 8)
    get("red", "b", 9)
    assert made[4:] == [("red", "b")]
    get("blue", "c", 0)
    get("blue", "c", 0)
    assert made[5:] == [("blue", "c")] * 2
