"""Values of options that other rooms branch on, as types; the tables list them from here."""

from typing import Literal

Emphasis = Literal["None", "Ignore", "Original", "No norm"]
"""Brackets are text; they have no effect; they weigh and the mean is restored; they weigh alone."""

NoiseSource = Literal["GPU", "CPU", "NV"]
PreviewContent = Literal["Combined", "Prompt", "Negative prompt"]
RefinerPass = Literal["first pass", "second pass", "both passes"]
