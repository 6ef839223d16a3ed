"""The controls of Self-attention guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script

SELF_ATTENTION_GUIDANCE: Final = Script(
    "Self-attention guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="sag_enabled"),
        Argument("scale", "Scale", 0.5, minimum=-2, maximum=5, step=0.01, infotext="sag_scale"),
        Argument("blur_sigma", "Blur sigma", 2, minimum=0, maximum=10, step=0.01, infotext="sag_blur_sigma"),
        Argument("threshold", "Blur mask threshold", 1, minimum=0, maximum=4, step=0.01, infotext="sag_threshold"),
    ),
    always_on=True,
    file="self_attention_guidance.py",
    aliases=(
        "SelfAttentionGuidance Integrated",
        "SelfAttentionGuidance Integrated (SD 1.x, SD 2.x, SDXL)",
        "Self Attention Guidance",
    ),
    # The extension for A1111 has no blur.
    orders=(("Self Attention Guidance", ("enabled", "scale", "threshold")),),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class SelfAttentionGuidanceArguments(ScriptArguments):
    """How far from the blurred answer, how much is blurred, and from which attention on."""

    script: ClassVar[Script] = SELF_ATTENTION_GUIDANCE
    scale: float
    blur_sigma: float
    threshold: float
