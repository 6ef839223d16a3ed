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

# Where Gradio's own colours stand out too little to be read: WCAG demands 4.5 : 1.
_READABLE: Final = {
    "body_text_color_subdued": "*neutral_600",
    "input_placeholder_color": "*neutral_500",
    "input_placeholder_color_dark": "*neutral_400",
    "color_accent": "*primary_700",
    "checkbox_background_color_selected_dark": "*primary_600",
    "button_primary_background_fill": "*primary_700",
    "button_primary_background_fill_dark": "*primary_700",
    "button_primary_background_fill_hover": "*primary_800",
    "button_primary_background_fill_hover_dark": "*primary_800",
    "link_text_color": "*secondary_700",
    "link_text_color_hover": "*secondary_800",
}

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
    theme = gr.themes.Default(
        primary_hue=gr.themes.colors.orange,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.gray,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=_FONT,
    ).set(**_READABLE)
    # Gradio has one accent for light and dark, but writes any attribute of this form into its dark style sheet.
    vars(theme)["color_accent_dark"] = "*primary_400"
    return theme
