"""The page in the order that the settings want: tabs, the groups of controls within a tab, where the prompt stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import gradio as gr
from gradio.blocks import Block, BlockContext

from modules.settings import OptionStore

# By which element a group of controls is known; what stands between two groups belongs to the one before it.
_MARKS: Final = {
    "mode_{mode}": "image",
    "inpaint_controls": "inpaint",
    "{mode}_resize_mode": "dimensions",
    "sampler_selection_{mode}": "sampler",
    "{mode}_hires_head": "accordions",
    "{mode}_refiner_head": "accordions",
    "{mode}_width": "dimensions",
    "{mode}_column_batch": "batch",
    "{mode}_cfg_scale": "cfg",
    "{mode}_seed_row": "seed",
    "{mode}_seed_extras": "seed",
    "{mode}_override_settings": "override_settings",
    "{mode}_script_container": "scripts",
}


def arrange_tabs(tabs: gr.Tabs, order: Sequence[str], hidden: Sequence[str], first: str | None = None) -> None:
    """Tabs named in `order` come first; those in `hidden` are there without being shown.

    The tab with the id `first` is open at the start, unless it is hidden; else the first one that is shown. With every
    tab hidden nobody could bring one back: then Settings stays.
    """
    if all(_label(tab) in hidden for tab in tabs.children):
        hidden = [label for label in hidden if label != "Settings"]
    places = {label: place for place, label in enumerate(order)}
    tabs.children.sort(key=lambda tab: places.get(_label(tab), len(places)))
    for tab in tabs.children:
        if _label(tab) in hidden:
            tab.visible = False
    if tabs.children:
        shown = [tab for tab in tabs.children if _label(tab) not in hidden] or tabs.children
        ids = [getattr(tab, "id", None) for tab in shown]
        tabs.selected = first if first in ids else ids[0]


def arrange_tab(page: gr.Blocks, mode: str, options: OptionStore) -> None:
    """Move the groups of a tab that makes pictures as `ui_reorder_list` and the alternatives say."""
    column = _find(page, f"{mode}_settings")
    if not isinstance(column, BlockContext):
        return
    batch = _find(column, f"{mode}_column_batch")
    if batch is not None and not options.switch("dimensions_and_batch_together"):
        _move(batch, column, _index_of(column, f"{mode}_width") + 1)
    groups = list(_groups(column.children, mode))
    places = {name: place for place, name in enumerate(options.texts("ui_reorder_list"))}
    groups.sort(key=lambda group: places.get(group[0], len(places)))
    column.children = [child for _, children in groups for child in children]
    top = _find(page, f"{mode}_toprow")
    if top is not None and options.switch("compact_prompt_box"):
        _move(top, column, 0)


def _groups(children: Sequence[Block], mode: str) -> Iterator[tuple[str, list[Block]]]:
    marks = {mark.format(mode=mode): category for mark, category in _MARKS.items()}
    current: tuple[str, list[Block]] = ("", [])
    for child in children:
        ids = (getattr(one, "elem_id", None) for one in _walk(child))
        category = next((marks[one] for one in ids if one in marks), None)
        if category is not None and category != current[0]:
            yield current
            current = (category, [])
        current[1].append(child)
    yield current


def _walk(block: Block) -> Iterator[Block]:
    yield block
    for child in getattr(block, "children", ()):
        yield from _walk(child)


def _find(block: Block, element: str) -> Block | None:
    return next((one for one in _walk(block) if getattr(one, "elem_id", None) == element), None)


def _index_of(column: BlockContext, element: str) -> int:
    return next((place for place, child in enumerate(column.children) if _find(child, element) is not None), 0)


def _move(block: Block, into: BlockContext, place: int) -> None:
    if block.parent is not None:
        block.parent.children.remove(block)
    into.children.insert(place, block)
    block.parent = into


def _label(tab: Block) -> str:
    return str(getattr(tab, "label", ""))
