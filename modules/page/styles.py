"""The Styles dropdowns: listed anew when the page is loaded, on demand, and when the dialog has changed a style."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr

from modules.page import listing
from modules.page.messages import QUICK
from modules.page.parts import GenerationTab

if TYPE_CHECKING:
    from modules.jobs.services import Services


def wire_style_lists(tabs: Sequence[GenerationTab], services: Services, page: gr.Blocks) -> None:
    """Connect the lists of all tabs, also of those that nobody has opened yet."""
    changed = gr.Button("Styles changed", visible="hidden", elem_id="styles_changed")
    lists = [tab.top.styles for tab in tabs]

    def relist(*chosen: list[str] | None) -> list[dict[str, Any]]:
        choices = listing.style_choices(services)
        remaining = [[name for name in names or [] if name in choices] for names in chosen]
        return [gr.update(choices=choices, value=names) for names in remaining]

    changed.click(relist, lists, lists, preprocess=False, **QUICK)
    # Only what there is to choose from: what is chosen comes back from the browser.
    page.load(lambda: [gr.update(choices=listing.style_choices(services)) for _ in lists], None, lists, **QUICK)
    for tab in tabs:
        tab.top.refresh_styles.click(relist, lists, lists, preprocess=False, **QUICK)
        tab.top.styles.input(None, tab.top.styles, tab.top.styles, js="(names) => window.webui.withoutDividers(names)")
