"""Cached results of upscalers: who only moves Upscaler 2 visibility does not wait for the models again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from PIL import Image

# However many pictures the setting allows.
MOST_BYTES: Final = 1_000_000_000


class UpscaledCache:
    """Results of upscalers by what went in. The ones used longest ago go first."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[Hashable, Image.Image] = OrderedDict()

    def get(self, image: Image.Image, how: Hashable, most: int, make: Callable[[], Image.Image]) -> Image.Image:
        """What `make` gave for this picture and `how`, a model and its settings, or gives now. `most` stay cached."""
        key = (hashlib.sha256(image.tobytes()).digest(), image.size, image.mode, how)
        result = self._pictures.pop(key, None)
        if result is None:
            result = make()
        self._pictures[key] = result
        while self._pictures and (len(self._pictures) > most or self._bytes() > MOST_BYTES):
            self._pictures.popitem(last=False)
        return result

    def clear(self) -> None:
        self._pictures.clear()

    def _bytes(self) -> int:
        return sum(image.width * image.height * len(image.getbands()) for image in self._pictures.values())
