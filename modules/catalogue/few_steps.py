"""LoRAs that let a checkpoint draw in a few steps, and the settings with which each of them was made to work.

Numbers are those of the model cards of LCM-LoRA, SDXL-Lightning, Hyper-SD, TCD and DMD2; docs/networks.md has them too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class FewSteps:
    """One kind: how its files are called, and what it wants. `more` is a further setting, empty for none."""

    kind: str
    called: re.Pattern[str]
    sampler: str
    schedule: str
    steps: str
    cfg: str
    more: str = ""

    @property
    def settings(self) -> str:
        """Sampler, schedule and further settings, as one text."""
        return ", ".join(filter(None, (self.sampler, self.schedule, self.more)))


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){pattern}(?![a-z])", re.I)


OF_FILE: Final = "the file's number"
# The first whose pattern is found counts. Words that people also give to styles ("hyper", "lightning") need company.
KINDS: Final = (
    FewSteps("DMD2", _named("dmd2"), "LCM", "SGM Uniform", "4", "1", "`lcm_distilled_timesteps` off"),
    FewSteps("TCD", _named("tcd"), "TCD", "", "4 to 8", "1", "`eta_tcd` 0.3"),
    FewSteps("Hyper, 1 step", _named(r"hyper[-_ ]?sd\w*[-_ ]1[-_ ]?steps?"), "TCD", "", "1", "1", "`eta_tcd` 0.3"),
    FewSteps("Hyper with CFG", _named(r"hyper[-_ ]?sd.*cfg"), "Euler", "SGM Uniform", OF_FILE, "5 to 8"),
    FewSteps("Hyper", _named(r"hyper[-_ ]?sd\w*"), "Euler", "SGM Uniform", OF_FILE, "1"),
    FewSteps(
        "Lightning",
        _named(r"(sd_?xl[-_ ]?lightning|lightning[-_ ]?\d+[-_ ]?steps?)"),
        "Euler",
        "SGM Uniform",
        OF_FILE,
        "1",
    ),
    FewSteps("LCM", _named("lcm"), "LCM", "", "4 to 8", "1 to 2"),
)
_STEPS: Final = re.compile(r"(?<!\d)(\d{1,2})[-_ ]?steps?", re.I)


def few_step_settings(names: Iterable[str]) -> str:
    """The settings that a LoRA wants, for people; empty if none of its names is that of a known kind."""
    text = " ".join(names)
    kind = next((one for one in KINDS if one.called.search(text)), None)
    if kind is None:
        return ""
    number = _STEPS.search(text)
    steps = number[1] if kind.steps == OF_FILE and number else kind.steps
    return f"{kind.kind}: {kind.settings.replace('`', '')}, steps {steps}, CFG scale {kind.cfg}"


def as_table() -> str:
    """All kinds, as docs/networks.md has them."""
    rows = [
        f"| {one.kind} | {one.settings} | {one.steps} | {one.cfg} |" for one in sorted(KINDS, key=lambda one: one.kind)
    ]
    return "\n".join(["| network | sampler, schedule and settings | steps | CFG scale |", "|---|---|---|---|", *rows])
