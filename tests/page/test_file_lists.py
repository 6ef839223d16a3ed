"""Lists of model files that are made anew together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import gradio as gr

from modules.jobs.services import Services
from modules.page.file_lists import FILES_CHANGED, FileList, wire_file_lists


def test_all_lists_have_what_is_there_and_keep_what_is_chosen() -> None:
    files = ["a", "b"]
    refreshed: list[int] = []
    services = cast(Services, SimpleNamespace(refresh_models=lambda: refreshed.append(1)))
    with gr.Blocks() as page:
        one, pair, several = gr.Dropdown([]), gr.Dropdown([]), gr.Dropdown([], multiselect=True)
        button = gr.Button("Refresh")
        lists = [
            FileList(one, lambda: files, "none"),
            FileList(pair, lambda: [("None", ""), *((name.upper(), name) for name in files)], ""),
            FileList(several, lambda: files),
        ]
        wire_file_lists(lists, [button], services, page)
    (changed,) = [block for block in page.blocks.values() if getattr(block, "elem_id", "") == FILES_CHANGED]

    def run(trigger: Any, *values: object) -> Any:
        (event,) = [one for one in page.fns.values() if one.fn is not None and (trigger, "click") in one.targets]
        return event.fn(*values)

    files[:] = ["b", "c"]
    found = run(changed._id, "b", "a", ["a", "b"])
    assert [list(update["choices"]) for update in found] == [
        ["b", "c"],
        [("None", ""), ("B", "b"), ("C", "c")],
        ["b", "c"],
    ]
    assert [update["value"] for update in found] == ["b", "", ["b"]]
    assert [update["value"] for update in run(changed._id, "a", "c", [])] == ["none", "c", []]
    run(button._id)
    assert refreshed == [1]
