"""The choices of scripts' arguments that depend on what lies on this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modules.catalogue.upscalers import Upscaler
from modules.features.declaration import Argument
from modules.parameters.xyz import axis_labels


def choices_of(upscalers: Callable[[], Sequence[Upscaler]], argument: Argument, mode: str) -> list[str]:
    """What an argument offers on a tab: its own words, or those of the list it names.

    The axes are all that A1111 has there: programs name them by their place.
    """
    match argument.listed:
        case "upscalers":
            return [one.name for one in upscalers()]
        case "axes":
            return axis_labels(mode, possible=False)
    return list(argument.choices)
