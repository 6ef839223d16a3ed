"""The controls of Normalized attention guidance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, Script


def _slider(
    name: str, label: str, default: float, low: float, high: float, step: float = 0.1, most: float = 100
) -> Argument:
    # Pictures of earlier days have the second key.
    own, other = f"nag_{name}", ((f"NAG {label}", 1.0),)
    return Argument(
        name, label, default, minimum=low, maximum=high, step=step, most=most, infotext=own, other_keys=other
    )


NORMALIZED_ATTENTION: Final = Script(
    "Normalized attention guidance",
    arguments=(
        Argument("enabled", "Enable", False, "checkbox", infotext="nag_enabled", other_keys=(("NAG Active", 1),)),
        Argument("negative", "Negative prompt (empty: the job's)", "", "textbox", infotext="nag_negative"),
        _slider("scale", "Scale", 5, 1, 20),
        _slider("tau", "Tau", 1.5, 1, 10),
        _slider("alpha", "Alpha", 0.5, 0, 1, 0.01, most=1),
    ),
    always_on=True,
    file="normalized_attention.py",
    aliases=("NAG", "NormalizedAttentionGuidance", "Normalized Attention Guidance Integrated"),
    group="Guidance",
)


@dataclass(frozen=True, slots=True)
class NormalizedAttentionArguments(ScriptArguments):
    """Which negative prompt, empty for that of the pass; how far away from it, how much longer the result may be, and
    how much of it is mixed in.
    """

    script: ClassVar[Script] = NORMALIZED_ATTENTION
    negative: str
    scale: float
    tau: float
    alpha: float
