"""What happens on the txt2img tab: submitting, showing results, seeds, sizes, and remembering the form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import gradio as gr

from modules.jobs.job import JobError
from modules.parameters import RequestError
from modules.ui import listing
from modules.ui.form import Form, stored_values
from modules.ui.results import gallery_value, infotext_html, pictures
from modules.ui.txt2img import Txt2Img

# Events answer at once and never wait in Gradio's queue: the real queue is the server's.
QUICK: Final[Mapping[str, Any]] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def wire_txt2img(tab: Txt2Img, services: Any, page: Any) -> None:
    """Connect the tab's components."""
    _wire_generate(tab, services)
    _wire_results(tab, services)
    _wire_settings(tab, services)
    _wire_memory(tab, services, page)


def _wire_generate(tab: Txt2Img, services: Any) -> None:
    client = gr.Textbox("", visible="hidden", elem_id="txt2img_client")
    submitted = gr.Textbox("", visible="hidden", elem_id="txt2img_submitted")
    tab.top.generate.click(
        submitter(tab.form, services),
        [*tab.form.components, client],
        submitted,
        js="(...values) => window.webui.stamp(values)",
        trigger_mode="multiple",
        **QUICK,
    ).then(None, submitted, None, js="(answer) => window.webui.submitted(answer)")
    tab.top.interrupt.click(None, None, None, js="() => window.webui.interrupt()")
    tab.top.skip.click(None, None, None, js="() => window.webui.skip()")


def submitter(form: Form, services: Any) -> Callable[..., str]:
    """The function behind Generate: queues a job and answers with its id, or with why not, as JSON."""

    def submit(*values: Any) -> str:
        *fields, client = values
        try:
            job = services.jobs.submit(form.request(fields), client=client or None)
        except (RequestError, JobError) as error:
            return json.dumps({"error": str(error)})
        return json.dumps({"id": job.id})

    return submit


def _wire_results(tab: Txt2Img, services: Any) -> None:
    results = tab.results

    def show(job_id: str) -> tuple[Any, str, int, str]:
        job = services.jobs.get(job_id) if job_id else None
        images = pictures(job) if job is not None else []
        text = images[0].infotext if images else ""
        return gr.update(value=gallery_value(images), selected_index=0 if images else None), infotext_html(text), 0, job_id

    def select(job_id: str, event: gr.SelectData) -> tuple[int, str]:
        job = services.jobs.get(job_id) if job_id else None
        images = pictures(job) if job is not None else []
        index = int(event.index)
        return index, infotext_html(images[index].infotext if 0 <= index < len(images) else "")

    # Gradio reads the parameter's annotation to know that it wants the event.
    select.__annotations__["event"] = gr.SelectData
    results.show.click(
        show,
        results.shown,
        [results.gallery, results.infotext, results.selected, results.shown],
        js="() => [window.webui.wanted()]",
        **QUICK,
    ).success(None, None, None, js="() => window.webui.filled()")
    results.gallery.select(select, results.shown, [results.selected, results.infotext], **QUICK)


def _wire_settings(tab: Txt2Img, services: Any) -> None:
    form, buttons = tab.form.controls, tab.buttons
    sides = [form["width"], form["height"]]
    buttons.swap.click(None, sides, sides, js="(width, height) => [height, width]")
    for name, random_button, reuse_button in (
        ("seed", buttons.random_seed, buttons.reuse_seed),
        ("subseed", buttons.random_subseed, buttons.reuse_subseed),
    ):
        random_button.click(None, None, form[name], js="() => '-1'")
        reuse_button.click(
            seed_reader(name, services), [tab.results.shown, tab.results.selected], form[name], **QUICK
        )
    prompts = [tab.top.prompt, tab.top.negative_prompt]
    tab.top.clear.click(
        None, prompts, prompts, js="(prompt, negative) => confirm('Delete prompt?') ? ['', ''] : [prompt, negative]"
    )


def seed_reader(name: str, services: Any) -> Callable[[str, float], str]:
    """The function behind ♻️: the seed of the picture on display, or -1 when there is none."""

    def read(job_id: str, index: float) -> str:
        job = services.jobs.get(job_id) if job_id else None
        images = pictures(job) if job is not None else []
        if not 0 <= int(index) < len(images):
            return "-1"
        return str(getattr(images[int(index)], name))

    return read


def _wire_memory(tab: Txt2Img, services: Any, page: Any) -> None:
    form = tab.form
    names = json.dumps(form.names)
    gr.on(
        [control.change for control in form.components],
        None,
        form.components,
        None,
        js=f"(...values) => window.webui.remember('{form.mode}', {names}, values)",
    )

    def restore(text: str) -> list[Any]:
        values = stored_values(text, form.names)
        size = listing.native_size(services, listing.current_checkpoint(services))
        if size is not None and "width" not in values:
            values["width"], values["height"] = size
        return form.updates(values)

    stored = gr.Textbox("", visible="hidden", elem_id="txt2img_stored")
    page.load(
        restore, stored, form.components, js=f"() => [localStorage.getItem('webui-{form.mode}') ?? '']", **QUICK
    ).then(None, None, None, js="() => window.webui.restored()")
