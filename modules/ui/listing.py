"""What the page offers to choose from, asked of the rooms that know: checkpoints, styles, samplers, schedules."""

from __future__ import annotations

from typing import Any

from modules.parameters.samplers import sampler_labels
from modules.parameters.schedules import schedule_labels


def samplers(services: Any) -> list[str]:
    """Sampler labels in A1111's order, without those that the settings hide."""
    hidden = set(services.options.texts("hide_samplers"))
    return [label for label in sampler_labels() if label not in hidden]


def schedules() -> list[str]:
    """Schedule labels, Automatic first."""
    return list(schedule_labels())


def checkpoint_titles(services: Any) -> list[str]:
    """Titles of every checkpoint on disk."""
    return [entry.title for entry in services.catalogue.checkpoints()]


def current_checkpoint(services: Any) -> str | None:
    """The checkpoint that the next job uses."""
    title: str | None = services.jobs.engine().checkpoint_title or services.options.text("sd_model_checkpoint")
    titles = checkpoint_titles(services)
    return title if title in titles else next(iter(titles), None)


def native_size(services: Any, title: str | None) -> tuple[int, int] | None:
    """The size in pixels a checkpoint states for itself, if it does."""
    for entry in services.catalogue.checkpoints():
        if entry.title == title and entry.width and entry.height:
            return entry.width, entry.height
    return None


def style_names(services: Any) -> list[str]:
    """Names of the saved styles."""
    return [style.name for style in services.styles.all()]
