"""The img2img alternative test's place among the scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

ALTERNATIVE_TEST: Final = Script(
    "img2img alternative test",
    IMG2IMG,
    (
        Argument("note", "", "<p>CFG Scale should be 2 or lower.</p>", "note"),
        Argument(
            "override_sampler",
            "Override `Sampling method` to Euler?(this method is built for it)",
            True,
            "checkbox",
        ),
        Argument(
            "override_prompt",
            "Override `prompt` to the same value as `original prompt`?(and `negative prompt`)",
            True,
            "checkbox",
        ),
        Argument("original_prompt", "Original prompt", "", "textbox", infotext="Decode prompt"),
        Argument(
            "original_negative_prompt", "Original negative prompt", "", "textbox", infotext="Decode negative prompt"
        ),
        Argument("override_steps", "Override `Sampling Steps` to the same value as `Decode steps`?", True, "checkbox"),
        Argument(
            "decode_steps", "Decode steps", 50, minimum=1, maximum=150, step=1, most=1000, infotext="Decode steps"
        ),
        Argument("override_strength", "Override `Denoising strength` to 1?", True, "checkbox"),
        Argument(
            "decode_cfg",
            "Decode CFG scale",
            1.0,
            minimum=0,
            maximum=15,
            step=0.1,
            most=100,
            infotext="Decode CFG scale",
        ),
        Argument("randomness", "Randomness", 0.0, minimum=0, maximum=1, step=0.01, infotext="Randomness"),
        Argument(
            "sigma_adjustment",
            "Sigma adjustment for finding noise for image",
            False,
            "checkbox",
            infotext="Sigma Adjustment",
        ),
    ),
    file="img2imgalt.py",
)


@dataclass(frozen=True, slots=True)
class AlternativeTestArguments(ScriptArguments):
    """The pass of which the noise is found, how much of other noise is mixed in, and what of the request it changes."""

    script: ClassVar[Script] = ALTERNATIVE_TEST
    override_sampler: bool
    override_prompt: bool
    original_prompt: str
    original_negative_prompt: str
    override_steps: bool
    decode_steps: int
    override_strength: bool
    decode_cfg: float
    randomness: float
    sigma_adjustment: bool
