"""Notices for prompts that were read more leniently than AUTOMATIC1111 would have read them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptNotice:
    """One such reading: `kind` is a stable key for tests and styling, `message` is the sentence for the user."""

    kind: str
    message: str


def quote(text: str, limit: int = 40) -> str:
    """The text as a notice shows it: on one line, cut to `limit` characters."""
    flat = " ".join(text.split())
    return f"“{flat}”" if len(flat) <= limit else f"“{flat[: limit - 1]}…”"
