"""How a token merging ratio that a request itself sets goes before the settings, as in A1111."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BASE: Final = "token_merging_ratio"
IMG2IMG: Final = "token_merging_ratio_img2img"


def with_requested_ratio(overrides: Mapping[str, object]) -> dict[str, object]:
    """A request's own settings, in which the ratio for all passes goes before the setting for img2img."""
    return {**overrides, **({IMG2IMG: 0.0} if overrides.get(BASE) else {})}
