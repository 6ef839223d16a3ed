"""Buttons under a gallery that queue the picture on display once more, worked on further."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import gradio as gr

from modules.jobs.job import JobError
from modules.jobs.viewed import ViewedJobs
from modules.page.form import Form
from modules.page.job_pictures import replacing, shown_with_jobs
from modules.page.messages import QUICK
from modules.page.results import Results
from modules.page.viewers import pressed_by
from modules.parameters import GenerationRequest, RequestError

if TYPE_CHECKING:
    from modules.jobs.job import Job, SavedImage
    from modules.jobs.services import Services

    # The request for one of the pictures on display, by the pictures, its index and what the form says, and the
    # pictures that the request names. Raises RequestError.
    Again = Callable[
        [Sequence[tuple[Job, SavedImage]], int, GenerationRequest], tuple[GenerationRequest, dict[str, bytes]]
    ]
    # The same for a picture of the Gallery tab, by what the page's scripts send of it.
    AgainOfGallery = Callable[[str, GenerationRequest], tuple[GenerationRequest, dict[str, bytes]]]


def wire_again(
    button: gr.Button,
    name: str,
    results: Results,
    form: Form,
    services: Services,
    again: Again,
    given: Mapping[str, object] | None = None,
    *,
    of_gallery: AgainOfGallery | None = None,
) -> None:
    """Have `button` queue what `again` makes of the picture on display; its result takes that picture's place.

    `given` are values of the form's controls that count instead of their own. With `of_gallery` the page's scripts may
    send a picture of the Gallery tab this way: its result stands by itself.
    """
    mode = form.mode
    client = gr.Textbox("", visible="hidden", elem_id=f"{mode}_{name}_client")
    submitted = gr.Textbox("", visible="hidden", elem_id=f"{mode}_{name}_submitted")

    def submit(pressed: gr.Request, job_id: str, index: float, *values: object) -> str:
        *fields, sent_by = values
        sender = pressed_by(pressed, sent_by)
        try:
            wanted = form.request(fields, given)
            if of_gallery is not None and job_id.startswith("{"):
                request, inputs = of_gallery(job_id, wanted)
                place = None
            else:
                shown = shown_with_jobs(ViewedJobs(services.jobs, sender), job_id)
                request, inputs = again(shown, int(index), wanted)
                place = replacing(job_id, int(index))
            job = services.jobs.submit(request, inputs=inputs, client=sender.client, user=sender.user, task_id=place)
        except (RequestError, JobError) as error:
            return json.dumps({"error": str(error)})
        return json.dumps({"id": job.id})

    button.click(
        submit,
        [results.shown, results.selected, *form.components, client],
        submitted,
        js=f"(...values) => window.webui.{'stamp' if of_gallery is None else 'stampSent'}(values, '{mode}')",
        preprocess=False,
        **QUICK,
    ).then(None, submitted, None, js=f"(answer) => window.webui.submitted(answer, '{mode}')")
