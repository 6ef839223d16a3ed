"""The look: Gradio's default theme with A1111's orange Generate, tighter spacing, and no font from elsewhere."""

from __future__ import annotations

import gradio as gr


def create_theme() -> gr.Theme:
    """The theme of the page."""
    return gr.themes.Default(
        primary_hue=gr.themes.colors.orange,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.gray,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        # Shipped with Gradio. Its semi-bold cut has no Latin letters, so bold it is.
        font=(gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
    )
