"""The tabs beside Generation: cards of textual inversions, hypernetworks, checkpoints and LoRAs. Scripts fill them."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import gradio as gr

from modules.catalogue.card_files import CARD_KINDS, CardKind

if TYPE_CHECKING:
    from modules.settings import OptionStore

TITLES: Final[dict[CardKind, str]] = {
    "textual inversion": "Textual Inversion",
    "hypernetworks": "Hypernetworks",
    "checkpoints": "Checkpoints",
    "lora": "Lora",
}


@contextmanager
def tabs_of_cards(mode: str, options: OptionStore) -> Iterator[None]:
    """Lay out the tabs of a main tab; what is built inside of the context goes into the one called Generation."""
    with gr.Tabs(elem_id=f"{mode}_extra_tabs", elem_classes=["card-tabs"]):
        with gr.Tab("Generation", id=f"{mode}_generation", elem_id=f"{mode}_generation_tab"):
            yield
        for kind in tab_order(options.text("ui_extra_networks_tab_reorder")):
            name = kind.replace(" ", "_")
            with gr.Tab(TITLES[kind], id=f"{mode}_{name}", elem_id=f"{mode}_{name}_tab"):
                gr.HTML(_panel(mode, kind), elem_id=f"{mode}_{name}_cards", padding=False)


def tab_order(wanted: str) -> list[CardKind]:
    """The kinds in the order of a comma-separated list of parts of their titles; the others behind them."""
    parts = [part.strip().lower() for part in wanted.split(",") if part.strip()]

    def place(kind: CardKind) -> int:
        return next((place for place, part in enumerate(parts) if part in TITLES[kind].lower()), len(parts))

    return sorted(CARD_KINDS, key=place)


def _panel(mode: str, kind: CardKind) -> str:
    return (
        f'<div class="cards" data-mode="{mode}" data-kind="{html.escape(kind)}">'
        '<p role="status">The cards are being read…</p></div>'
    )
