"""The table of noise schedules: labels, aliases and the facts that the page, the API and infotext list."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final


class UnknownScheduleError(ValueError):
    """A schedule name that no table entry answers to."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to spread noise levels over the steps.

    `name` is the internal name of A1111's API, `label` what the page and infotext say. `default_rho` is -1 where the
    setting `rho` has no meaning. `needs_model` says that the levels come from the model's own table rather than from
    its lowest and highest sigma alone. `flow_instead`: it is not for models trained by flow matching, and that one is.
    `from_forge` marks what A1111 itself does not have.
    """

    name: str
    label: str
    aliases: tuple[str, ...] = ()
    default_rho: float = -1.0
    needs_model: bool = False
    flow_instead: str | None = None
    from_forge: bool = False

    @property
    def spellings(self) -> tuple[str, ...]:
        """Every name this schedule answers to, label first: the order in which A1111 tries them."""
        return (self.label, self.name, *self.aliases)

    def api_item(self) -> dict[str, object]:
        """This entry as `/sdapi/v1/schedulers` lists it."""
        return {
            "name": self.name,
            "label": self.label,
            "aliases": list(self.aliases) or None,
            "default_rho": self.default_rho,
            "need_inner_model": self.needs_model,
        }


AUTOMATIC: Final = Schedule("automatic", "Automatic")

SCHEDULES: Final[tuple[Schedule, ...]] = (
    AUTOMATIC,
    Schedule("uniform", "Uniform", needs_model=True),
    Schedule("karras", "Karras", default_rho=7.0),
    Schedule("exponential", "Exponential"),
    Schedule("polyexponential", "Polyexponential", default_rho=1.0),
    Schedule("sgm_uniform", "SGM Uniform", ("SGMUniform",), needs_model=True),
    Schedule("kl_optimal", "KL Optimal", flow_instead="Simple"),
    Schedule("align_your_steps", "Align Your Steps", flow_instead="Simple"),
    Schedule("simple", "Simple", needs_model=True),
    Schedule("normal", "Normal", needs_model=True),
    Schedule("ddim", "DDIM", needs_model=True),
    Schedule("beta", "Beta", needs_model=True),
    Schedule("turbo", "Turbo", needs_model=True, from_forge=True),
    Schedule("align_your_steps_GITS", "Align Your Steps GITS", flow_instead="Simple", from_forge=True),
    Schedule("align_your_steps_11", "Align Your Steps 11", flow_instead="Simple", from_forge=True),
    Schedule("align_your_steps_32", "Align Your Steps 32", flow_instead="Simple", from_forge=True),
)

# ComfyUI's names where they are not the internal ones. The API's list of aliases is A1111's, without these.
_FOREIGN_SPELLINGS: Final = {"DDIM": ("ddim_uniform",)}

_BY_SPELLING: Final = {
    spelling.lower(): entry
    for entry in SCHEDULES
    for spelling in (*_FOREIGN_SPELLINGS.get(entry.label, ()), *entry.spellings)
}

# Every name, in lower case, that `find_schedule` knows.
SCHEDULE_SPELLINGS: Final = frozenset(_BY_SPELLING)


def schedule_labels() -> tuple[str, ...]:
    """Labels in the order of the page's dropdown."""
    return tuple(entry.label for entry in SCHEDULES)


def find_schedule(name: str | None) -> Schedule | None:
    """The schedule of this label, name or alias in any case; None when there is none."""
    return _BY_SPELLING.get((name or "").strip().lower())


def resolve_schedule(name: str | None, *, strict: bool = False) -> Schedule:
    """The schedule of this name. An empty name is Automatic, and so is an unknown one unless `strict`.

    Raises UnknownScheduleError (strict only), naming the nearest label.
    """
    found = find_schedule(name)
    if found is not None:
        return found
    if strict and (name or "").strip():
        raise UnknownScheduleError(f"There is no schedule type {name!r}; {nearest_hint(name or '', schedule_labels())}")
    return AUTOMATIC


def nearest_hint(name: str, labels: tuple[str, ...]) -> str:
    """The half sentence that ends an error about an unknown name: the nearest label, or all of them."""
    by_lower = {label.lower(): label for label in labels}
    close = get_close_matches(name.lower(), list(by_lower), n=1)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return f"choose one of: {', '.join(labels)}."
