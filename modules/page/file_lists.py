"""Lists of model files on the page: all are made anew together, whichever of them it was that somebody refreshed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.page.messages import QUICK

if TYPE_CHECKING:
    from modules.jobs.services import Services

# The button that the page's scripts press when there are other files than before.
FILES_CHANGED: Final = "model_files_changed"
# To be run after an event that has found other files.
LIST_AGAIN: Final = "() => window.webui.listAgain()"


@dataclass(frozen=True, slots=True)
class FileList:
    """A control that offers files: what there is to choose, and what is chosen when the chosen file is gone."""

    control: gr.components.Component
    choices: Callable[[], Sequence[str | tuple[str, str]]]
    without: object = None


def wire_file_lists(
    lists: Sequence[FileList], refreshing: Sequence[gr.Button], services: Services, page: gr.Blocks
) -> None:
    """Make all lists anew when the page is loaded, when scripts say so, and after a press on one of the buttons."""
    changed = gr.Button("Files changed", visible="hidden", elem_id=FILES_CHANGED)
    controls = [one.control for one in lists]

    def listed() -> list[dict[str, Any]]:
        return [gr.update(choices=list(one.choices())) for one in lists]

    def relisted(*chosen: object) -> list[dict[str, Any]]:
        return [_relisted(one, value) for one, value in zip(lists, chosen, strict=True)]

    # Only what there is to choose from: what is chosen comes back from the browser.
    page.load(listed, None, controls, **QUICK)
    changed.click(relisted, controls, controls, preprocess=False, **QUICK)
    for button in refreshing:
        button.click(services.refresh_models, None, None, **QUICK).then(None, None, None, js=LIST_AGAIN)


def _relisted(one: FileList, chosen: object) -> dict[str, Any]:
    choices = list(one.choices())
    values = [choice if isinstance(choice, str) else choice[1] for choice in choices]
    if isinstance(chosen, list):
        chosen = [value for value in chosen if value in values]
    updated: dict[str, Any] = gr.update(choices=choices, value=chosen if _is_among(chosen, values) else one.without)
    return updated


def _is_among(chosen: object, values: Sequence[str]) -> bool:
    return isinstance(chosen, list) or chosen in values
