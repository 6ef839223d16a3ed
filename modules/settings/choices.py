"""Values of options that other rooms branch on, as types; the tables list them from here."""

from typing import Final, Literal

# The tabs that a parameter or a script belongs to, by the words of the API.
BOTH: Final = frozenset({"txt2img", "img2img"})
TXT2IMG: Final = frozenset({"txt2img"})
IMG2IMG: Final = frozenset({"img2img"})

# What a later pass takes from the one before it, in the words of the page, the API and infotext.
SAME_CHECKPOINT: Final = "Use same checkpoint"
SAME_SAMPLER: Final = "Use same sampler"
SAME_SCHEDULE: Final = "Use same scheduler"

# What stands under a mask at the start, by the number that requests have.
MASKED_CONTENTS: Final = ("fill", "original", "latent noise", "latent nothing")

Emphasis = Literal["None", "Ignore", "Original", "No norm"]
"""Brackets are text; they have no effect; they weigh and the mean is restored; they weigh alone."""

NoiseSource = Literal["GPU", "CPU", "NV"]
PreviewContent = Literal["Combined", "Prompt", "Negative prompt"]
RefinerPass = Literal["first pass", "second pass", "both passes"]
