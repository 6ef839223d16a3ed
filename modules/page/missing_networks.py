"""What the page says at once of networks that a prompt names and that are not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modules.intake.networks import names_missing
from modules.jobs.job import Job

if TYPE_CHECKING:
    from modules.jobs.services import Services


def missing_networks(services: Services, job: Job) -> str:
    """The sentences about them, one in a line, where a setting wants them; under the pictures they stand anyway."""
    wanted = services.options.switch("lora_not_found_gradio_warning")
    return "\n".join(filter(names_missing, job.resolved.notices)) if wanted else ""
