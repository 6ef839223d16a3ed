"""The look: Gradio's default theme with A1111's orange Generate, tighter spacing, and no font from elsewhere."""

from __future__ import annotations

from typing import Final

import gradio as gr

# Shipped with Gradio. Its semi-bold cut has no Latin letters, so bold it is.
_FONT: Final = (
    gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)),
    "ui-sans-serif",
    "system-ui",
    "sans-serif",
)


# Gradio's own themes; A1111's list names some with "gradio/" before them, and others that would have to be downloaded.
_THEMES: Final[dict[str, type[gr.themes.Base]]] = {
    "base": gr.themes.Base,
    "soft": gr.themes.Soft,
    "monochrome": gr.themes.Monochrome,
    "glass": gr.themes.Glass,
    "origin": gr.themes.Origin,
    "citrus": gr.themes.Citrus,
    "ocean": gr.themes.Ocean,
}


def create_theme(name: str = "Default") -> gr.Theme:
    """The theme of the page: ours, or one of Gradio's by its name; an unknown name is ours."""
    chosen = _THEMES.get(name.rpartition("/")[2].lower())
    if chosen is not None:
        return chosen(font=_FONT)
    return gr.themes.Default(
        primary_hue=gr.themes.colors.orange,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.gray,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_FONT,
    )
