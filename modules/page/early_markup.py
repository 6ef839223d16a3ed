"""What stands first in the head of the page, before any of Gradio's: scripts and style that a file of their own would
bring too late."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_ASSETS: Final = Path(__file__).parent / "assets"


def early_markup(theme: str | None) -> str:
    """The markup; `theme` is that of the flag --theme, which counts if it is "light" or "dark"."""
    flag = theme if theme in ("light", "dark") else ""
    scripts = (
        f'<script data-theme="{flag}">{_text("early_theme.js")}</script><script>{_text("early_events.js")}</script>'
    )
    return f"{scripts}<style>{_text('early.css')}</style>"


def _text(name: str) -> str:
    return (_ASSETS / name).read_text("utf-8")
