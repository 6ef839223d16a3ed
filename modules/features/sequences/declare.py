"""Interpolation's place among the scripts, and what all that make a sequence have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.settings.choices import IMG2IMG

EVEN: Final = "Even"
GENTLE: Final = "Slow at the ends"

SEQUENCE: Final = (
    Argument("frames", "Frames", 8, minimum=2, maximum=120, step=1, most=1000),
    Argument("pace", "Pace", EVEN, "radio", choices=(EVEN, GENTLE)),
    Argument("frames_per_second", "Frames per second of the animation", 8, minimum=1, maximum=60, step=1),
    Argument("and_back", "Play the animation forwards and back again", False, "checkbox"),
)

INTERPOLATE_PROMPTS: Final = Script(
    "Interpolate prompts",
    arguments=(
        Argument(
            "note",
            "",
            "<p>From the prompt above to the second one, with the same seed: each frame is guided by both, joined with "
            "AND, the one fading out as the other fades in. A frame's parameters alone make it again.</p>",
            "note",
        ),
        Argument("second_prompt", "Second prompt", "", "textbox", lines=3),
        *SEQUENCE,
    ),
    file="interpolate_prompts.py",
)
INTERPOLATE_PICTURES: Final = Script(
    "Interpolate pictures",
    IMG2IMG,
    (
        Argument(
            "note",
            "",
            "<p>From the picture above to the second one: each frame is a mixture of their latents, gone over with the "
            "prompt, the seed and the Denoising strength of this tab. Around 0.5 each is a picture of its own.</p>",
            "note",
        ),
        *SEQUENCE,
    ),
    pictures=2,
    named=True,
    file="interpolate_pictures.py",
)


@dataclass(frozen=True, slots=True)
class SequenceArguments(ScriptArguments):
    """What all sequences share: their length, their pace, and how the animation of them is played."""

    frames: int
    pace: str
    frames_per_second: int
    and_back: bool

    def shares(self) -> list[float]:
        """How far each frame is from the first, 0, to the last, 1."""
        even = [frame / (self.frames - 1) for frame in range(self.frames)]
        return even if self.pace == EVEN else [share * share * (3 - 2 * share) for share in even]


@dataclass(frozen=True, slots=True)
class InterpolatePicturesArguments(SequenceArguments):
    """A sequence from one picture to another."""

    script: ClassVar[Script] = INTERPOLATE_PICTURES


@dataclass(frozen=True, slots=True)
class InterpolatePromptsArguments(SequenceArguments):
    """A sequence from the request's prompt to `second_prompt`."""

    script: ClassVar[Script] = INTERPOLATE_PROMPTS
    second_prompt: str
