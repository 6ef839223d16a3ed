"""The page's layout by a name, so that a browser learns that the page it has was built from something else."""

from __future__ import annotations

import hashlib
import re
from typing import Final

import gradio as gr

_MARK: Final = "page_layout"


def mark_layout(page: gr.Blocks) -> None:
    """Put the name of what is on the page so far into the page being built; to be called last."""
    made_of = (f"{number} {one.get_block_name()} {one.elem_id}" for number, one in page.blocks.items())
    name = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
    gr.HTML(f'<i data-layout="{name}"></i>', elem_id=_MARK, elem_classes=["unseen"])


def layout_of(page: gr.Blocks) -> str:
    """The name that `mark_layout` gave; empty for a page without one."""
    marks = (str(getattr(one, "value", "")) for one in page.blocks.values() if one.elem_id == _MARK)
    found = re.search(r'data-layout="(\w+)"', next(marks, ""))
    return found[1] if found else ""
