"""The choices of scripts' arguments that depend on what lies on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from modules.catalogue import Catalogue
from modules.catalogue.upscalers import Upscaler
from modules.features.controlnet.preprocessors.declare import PREPROCESSORS
from modules.features.declaration import Argument
from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels
from modules.parameters.xyz import axis_labels

# What arguments may list, by the word that they name it with.
Lists = Mapping[str, Callable[[], Sequence[str]]]


def machine_lists(
    catalogue: Catalogue, upscalers: Callable[[], Sequence[Upscaler]], detectors: Callable[[], Sequence[str]]
) -> Lists:
    """The lists of this machine, each read at the moment of use."""
    return {
        "upscalers": lambda: [one.name for one in upscalers()],
        "checkpoints": lambda: [one.title for one in catalogue.checkpoints()],
        "vaes": lambda: ["Automatic", "None", *(one.name for one in catalogue.vaes())],
        "control_models": lambda: [one.title for one in catalogue.controls()],
        "detectors": detectors,
        "preprocessors": lambda: [one.title for one in PREPROCESSORS],
        "samplers": sampler_labels,
        "schedules": schedule_labels,
    }


def choices_of(lists: Lists, argument: Argument, mode: str) -> list[str]:
    """What an argument offers on a tab: its own words, then those of the list it names.

    The axes are all that A1111 has there: programs name them by their place.
    """
    if argument.listed == "axes":
        return axis_labels(mode, possible=False)
    listed = lists.get(argument.listed or "")
    return [*argument.choices, *(listed() if listed is not None else ())]
