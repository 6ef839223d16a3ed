"""The choices of scripts' arguments that depend on what lies on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modules.parameters.scripts import Argument

if TYPE_CHECKING:
    from modules.jobs.services import Services


def choices_of(services: Services, argument: Argument) -> list[str]:
    """What an argument offers: its own words, or those of the list it names."""
    return [one.name for one in services.upscalers()] if argument.listed == "upscalers" else list(argument.choices)
