"""What a ControlNet unit may ask for, by the words that units, requests and infotexts use for it."""

from __future__ import annotations

from enum import StrEnum


class ControlMode(StrEnum):
    """How a unit shares its influence with the prompt."""

    BALANCED = "Balanced"
    PROMPT = "My prompt is more important"
    CONTROL = "ControlNet is more important"


class ImageWeightType(StrEnum):
    """How the weight of an IP-Adapter is spread over the UNet's layers."""

    NORMAL = "normal"
    EASE_IN = "ease in"
    EASE_OUT = "ease out"
    EASE_IN_OUT = "ease in-out"
    REVERSE_IN_OUT = "reverse in-out"
    WEAK_INPUT = "weak input"
    WEAK_OUTPUT = "weak output"
    WEAK_MIDDLE = "weak middle"
    STRONG_MIDDLE = "strong middle"
    STYLE = "style transfer"
    COMPOSITION = "composition"
    STRONG_STYLE = "strong style transfer"
    STYLE_AND_COMPOSITION = "style and composition"
