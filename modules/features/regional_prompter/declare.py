"""The controls of Regional Prompter, in the order of the extension's `args`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script
from modules.features.regions.declare import MASK_PICTURES, MOST_MASKS

MATRIX: Final = "Matrix"
MASK: Final = "Mask"
PROMPT: Final = "Prompt"
PROMPT_EX: Final = "Prompt-EX"
COLUMNS: Final = "Columns"
ROWS: Final = "Rows"
ATTENTION: Final = "Attention"
LATENT: Final = "Latent"


def _text(name: str, label: str, default: str, key: str, *, shown: bool = True) -> Argument:
    return Argument(name, label, default, "textbox", infotext=key, shown=shown)


def _switch(name: str, label: str, key: str) -> Argument:
    return Argument(name, label, False, "checkbox", infotext=key)


REGIONAL_PROMPTER: Final = Script(
    "Regional Prompter",
    arguments=(
        _switch("active", "Active", "RP Active"),
        Argument("debug", "Debug", False, "checkbox", shown=False),
        Argument(
            "divide_mode",
            "Divide mode",
            MATRIX,
            "radio",
            choices=(MATRIX, MASK, PROMPT),
            infotext="RP Divide mode",
        ),
        Argument(
            "matrix_mode",
            "Split into",
            COLUMNS,
            "radio",
            choices=(COLUMNS, ROWS),
            # "Colums" is what the extension writes.
            spellings=(("Horizontal", COLUMNS), ("Colums", COLUMNS), ("Vertical", ROWS)),
            infotext="RP Matrix submode",
        ),
        _text("mask_mode", "Mask mode", "Mask", "RP Mask submode", shown=False),
        Argument(
            "prompt_mode",
            "Prompt mode",
            PROMPT,
            "radio",
            choices=(PROMPT, PROMPT_EX),
            infotext="RP Prompt submode",
        ),
        _text("ratios", "Divide ratio", "1,1", "RP Ratios"),
        _text("base_ratios", "Base ratio", "0.2", "RP Base Ratios"),
        _switch("use_base", "Use base prompt", "RP Use Base"),
        _switch("use_common", "Use common prompt", "RP Use Common"),
        _switch("use_common_negative", "Use common negative prompt", "RP Use Ncommon"),
        Argument(
            "calculation",
            "Generation mode",
            ATTENTION,
            "radio",
            choices=(ATTENTION, LATENT),
            infotext="RP Calc Mode",
        ),
        _switch("not_change_and", "Leave AND as it is (else it separates regions)", "RP Options"),
        _text("lora_te", "LoRA in negative text encoder", "0", "RP LoRA Neg Te Ratios", shown=False),
        _text("lora_unet", "LoRA in negative U-Net", "0", "RP LoRA Neg U Ratios", shown=False),
        _text("threshold", "Threshold", "0.4", "RP threshold"),
        Argument("mask", "Mask", "", "picture", shown=False),
        _text("lora_stop", "LoRA stop step", "0", "RP LoRA Stop Step", shown=False),
        _text("lora_hires_stop", "LoRA stop step in hires", "0", "RP LoRA Hires Stop Step", shown=False),
        _switch("flip", 'Flip "," and ";"', "RP Flip"),
        Argument("masks", "Masks", [], "units", maximum=3, most=MOST_MASKS, record=MASK_PICTURES),
    ),
    always_on=True,
    file="regional_prompter.py",
)


@dataclass(frozen=True, slots=True)
class RegionalPrompterArguments(ScriptArguments):
    """How the prompt's words and the ratios cut the picture, and what all its parts share."""

    script: ClassVar[Script] = REGIONAL_PROMPTER
    divide_mode: str
    matrix_mode: str
    prompt_mode: str
    ratios: str
    base_ratios: str
    use_base: bool
    use_common: bool
    use_common_negative: bool
    calculation: str
    not_change_and: bool
    threshold: str
    mask: str
    flip: bool

    @property
    def is_latent(self) -> bool:
        """Whether each region is a prompt of its own joined with AND."""
        return self.calculation == LATENT
