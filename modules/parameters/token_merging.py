"""Which share of the tokens is merged in which pass: A1111's order of preference among its three settings."""

from __future__ import annotations

from collections.abc import Mapping

BASE, IMG2IMG, HIRES = "token_merging_ratio", "token_merging_ratio_img2img", "token_merging_ratio_hr"


def merging_ratio(options: Mapping[str, object], mode: str) -> float:
    """The ratio of the first or only pass: 0 merges nothing. In img2img a setting of its own goes before."""
    own = _ratio(options, IMG2IMG) if mode == "img2img" else 0.0
    return own or _ratio(options, BASE)


def hires_merging_ratio(options: Mapping[str, object]) -> float:
    """The ratio of a hires pass: its own setting, and where that is 0 the first pass's."""
    return _ratio(options, HIRES) or _ratio(options, BASE)


def with_asked_ratio(overrides: Mapping[str, object]) -> dict[str, object]:
    """A request's own settings, where a ratio that it asks for goes before the setting for img2img, as in A1111."""
    return {**overrides, **({IMG2IMG: 0.0} if overrides.get(BASE) else {})}


def _ratio(options: Mapping[str, object], key: str) -> float:
    value = options.get(key)
    return float(value) if isinstance(value, int | float) else 0.0
