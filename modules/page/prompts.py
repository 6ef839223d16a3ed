"""The top row of a tab: prompts with their counters, Generate with Interrupt and Skip, tools, styles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from modules.page.controls import dropdown, textbox, tool_button
from modules.page.reading import counter_html

HINT: Final = "(Press Ctrl+Enter to generate, Alt+Enter to skip, Esc to interrupt)"


@dataclass(frozen=True, slots=True)
class PromptRow:
    """The components of the top row that events need."""

    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    counter: gr.HTML
    negative_counter: gr.HTML
    reading: gr.HTML
    generate: gr.Button
    interrupt: gr.Button
    skip: gr.Button
    estimate: gr.HTML
    paste: gr.Button
    clear: gr.Button
    styles: gr.Dropdown
    apply_styles: gr.Button
    refresh_styles: gr.Button
    edit_styles: gr.Button


def build_prompt_row(mode: str, style_choices: Sequence[str]) -> PromptRow:
    """Lay out the top row inside the tab being built."""
    with gr.Row(elem_id=f"{mode}_toprow", elem_classes=["toprow"]):
        with gr.Column(scale=6, min_width=320, elem_id=f"{mode}_prompt_container"):
            prompt, counter = _prompt_box("prompt", mode, "Prompt")
            negative, negative_counter = _prompt_box("negative_prompt", mode, "Negative prompt")
            with gr.Accordion("How this was read", open=False, elem_id=f"{mode}_reading"):
                reading = gr.HTML("", elem_id=f"{mode}_reading_html")
        with gr.Column(scale=1, min_width=240, elem_id=f"{mode}_actions_column", elem_classes=["actions"]):
            with gr.Column(elem_id=f"{mode}_generate_box", elem_classes=["generate-box"]):
                generate = gr.Button("Generate", variant="primary", elem_id=f"{mode}_generate")
                with gr.Row(elem_classes=["stop-row"]):
                    interrupt = gr.Button("Interrupt", elem_id=f"{mode}_interrupt", min_width=60)
                    skip = gr.Button("Skip", elem_id=f"{mode}_skip", min_width=60)
                estimate = gr.HTML("", elem_id=f"{mode}_estimate", elem_classes=["estimate"], padding=False)
            with gr.Row(elem_id=f"{mode}_tools", elem_classes=["tools"]):
                paste = tool_button("↙️", f"{mode}_paste")
                clear = tool_button("🗑️", f"{mode}_clear_prompt")
                apply_styles = tool_button("📋", f"{mode}_style_apply")
                # assets/prompt_history.js opens it.
                tool_button("🕘", f"{mode}_prompt_history")
            with gr.Row(elem_id=f"{mode}_styles_row", elem_classes=["with-tool"]):
                styles = dropdown("styles", mode, style_choices, multiselect=True)
                refresh_styles = tool_button("🔄", f"{mode}_styles_refresh")
                edit_styles = tool_button("🖌️", f"{mode}_styles_edit_button")
    return PromptRow(
        prompt,
        negative,
        counter,
        negative_counter,
        reading,
        generate,
        interrupt,
        skip,
        estimate,
        paste,
        clear,
        styles,
        apply_styles,
        refresh_styles,
        edit_styles,
    )


def _prompt_box(name: str, mode: str, title: str) -> tuple[gr.Textbox, gr.HTML]:
    element = "token_counter" if name == "prompt" else "negative_token_counter"
    with gr.Column(elem_classes=["prompt-box"]):
        box = textbox(name, mode, show_label=False, lines=3, max_lines=30, placeholder=f"{title}\n{HINT}")
        counter = gr.HTML(counter_html(0, 75), elem_id=f"{mode}_{element}", elem_classes=["token-counter"])
    return box, counter
