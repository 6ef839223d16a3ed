"""The choices of scripts' arguments that depend on what lies on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modules.parameters.scripts import Argument
from modules.parameters.xyz import axis_labels

if TYPE_CHECKING:
    from modules.jobs.services import Services


def choices_of(services: Services, argument: Argument, mode: str) -> list[str]:
    """What an argument offers on a tab: its own words, or those of the list it names.

    The axes are all that A1111 has there: programs name them by their place.
    """
    match argument.listed:
        case "upscalers":
            return [one.name for one in services.upscalers()]
        case "axes":
            return axis_labels(mode, possible=False)
    return list(argument.choices)
