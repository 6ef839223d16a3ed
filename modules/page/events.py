"""What happens on the tabs that make pictures: submitting, results, seeds, sizes, reading parameters, remembering."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.gallery.allowed_folders import FolderError
from modules.jobs.job import Job, JobError
from modules.jobs.viewed import ViewedJobs
from modules.page import listing
from modules.page.batch_files import submit_form
from modules.page.controls import events_of
from modules.page.estimate import ESTIMATED_FROM, estimate
from modules.page.form import Form, stored_values
from modules.page.job_pictures import first_selected, shown_pictures, spent_on
from modules.page.messages import QUICK, SAY, message, refusal
from modules.page.missing_networks import missing_networks
from modules.page.parts import GenerationTab
from modules.page.paste import form_values
from modules.page.reading import Typed, counters, reading_html
from modules.page.results import Results, gallery_value, infotext_html, spent_html
from modules.page.saving import wire_saving
from modules.page.uploads import UploadStore
from modules.page.viewers import pressed_by
from modules.parameters import RequestError

if TYPE_CHECKING:
    from modules.jobs.services import Services


def wire_tab(tab: GenerationTab, services: Services, page: gr.Blocks, *, own_size: bool = False) -> None:
    """Connect what every tab that makes pictures has. Generate is the tab's own: see `wire_generate`.

    `own_size` says that ui-config.json has a size, which then goes before the checkpoint's native one.
    """
    wire_results(tab.results, tab.form.mode, services)
    wire_saving(tab.results, tab.form.mode, services)
    _wire_settings(tab, services)
    _wire_paste(tab, services)
    _wire_styles(tab, services)
    _wire_memory(tab, services, page, own_size=own_size)
    _wire_reading(tab, services, page)


def wire_generate(
    tab: GenerationTab,
    submit: Callable[..., str],
    *,
    stamp: str,
    controls: Sequence[gr.components.Component] = (),
    more: int = 0,
) -> None:
    """Generate calls `submit`.

    It gets the form's values, those of `controls`, the browser's id and `more` texts that `stamp` fills in. `stamp` is
    the function of the page's scripts that completes the values.
    """
    mode = tab.form.mode
    client = gr.Textbox("", visible="hidden", elem_id=f"{mode}_client")
    added = [gr.Textbox("", visible="hidden", elem_id=f"{mode}_added_{number}") for number in range(more)]
    submitted = gr.Textbox("", visible="hidden", elem_id=f"{mode}_submitted")
    tab.top.generate.click(
        submit,
        [*tab.form.components, *controls, client, *added],
        submitted,
        js=f"(...values) => window.webui.{stamp}(values, '{mode}')",
        trigger_mode="multiple",
        # The raw values: `parse_request` refuses one with the control's name, Gradio would without.
        preprocess=False,
        **QUICK,
    ).then(None, submitted, None, js=f"(answer) => window.webui.submitted(answer, '{mode}')")
    tab.top.interrupt.click(None, None, None, js="() => window.webui.interrupt()")
    tab.top.skip.click(None, None, None, js="() => window.webui.skip()")


def submitter(form: Form, services: Services, uploads: UploadStore) -> Callable[..., str]:
    """The function behind Generate: queues a job and answers with its id, or with why not, as JSON."""

    def submit(pressed: gr.Request, *values: object) -> str:
        *fields, client = values
        sender = pressed_by(pressed, client)
        try:
            return submit_form(services, form.request(fields), {}, uploads, sender, about)
        except (RequestError, FolderError, JobError) as error:
            return refusal(error)

    def about(job: Job) -> str:
        return missing_networks(services, job)

    return submit


def wire_results(results: Results, mode: str, services: Services) -> None:
    """Connect the gallery: what the page's scripts want shown, and the picture that is looked at."""

    def show(pressed: gr.Request, job_id: str, at: float) -> tuple[object, object, str, object, str, object]:
        viewer = pressed_by(pressed)
        jobs = ViewedJobs(services.jobs, viewer)
        hidden = services.options.switch("do_not_show_images")
        images = [] if hidden else shown_pictures(services, viewer, job_id)
        if 0 <= at < len(images):
            # It is on display and has more pictures now, or the answer was late: the one looked at stays.
            gallery = gr.Gallery(value=gallery_value(images))
            return gallery, gr.skip(), spent_html(spent_on(jobs, job_id)), gr.skip(), job_id, gr.skip()
        selected = first_selected(jobs, job_id, len(images))
        return (
            gr.Gallery(value=gallery_value(images), selected_index=selected if images else None),
            infotext_html(images[selected].infotext if images else ""),
            spent_html(spent_on(jobs, job_id)),
            selected,
            job_id,
            # What was saved of another job is no download of this one.
            gr.File(value=None, visible=False),
        )

    def select(pressed: gr.Request, shown_id: str, index: float) -> tuple[int, str]:
        images = shown_pictures(services, pressed_by(pressed), shown_id)
        inside = 0 <= int(index) < len(images)
        return int(index), infotext_html(images[int(index)].infotext if inside else "")

    results.show.click(
        show,
        [results.shown, results.selected],
        [results.gallery, results.infotext, results.spent, results.selected, results.shown, results.files],
        js=f"(shown, selected) => window.webui.wanted('{mode}', shown, selected)",
        **QUICK,
    ).success(None, None, None, js=f"() => window.webui.filled('{mode}')")
    # Arrows may be pressed faster than answers come: whatever the event says, what is selected by then is what counts.
    selected = [results.selected, results.infotext]
    results.gallery.select(
        select,
        [results.shown, results.selected],
        selected,
        js=f"(shown) => window.webui.selectedPicture('{mode}', shown)",
        trigger_mode="always_last",
        preprocess=False,
        **QUICK,
    ).then(None, None, None, js=f"() => window.webui.selectionShown('{mode}')")


def _wire_settings(tab: GenerationTab, services: Services) -> None:
    form, buttons = tab.form.controls, tab.buttons
    sides = [form["width"], form["height"]]
    buttons.swap.click(None, sides, sides, js="(width, height) => [height, width]")
    for name, random_button, reuse_button in (
        ("seed", buttons.random_seed, buttons.reuse_seed),
        ("subseed", buttons.random_subseed, buttons.reuse_subseed),
    ):
        random_button.click(None, None, form[name], js="() => '-1'")
        reuse_button.click(seed_reader(name, services), [tab.results.shown, tab.results.selected], form[name], **QUICK)
    prompts = [tab.top.prompt, tab.top.negative_prompt]
    tab.top.clear.click(
        None, prompts, prompts, js="(...prompts) => window.webui.confirmed('Delete prompt?') ? ['', ''] : prompts"
    )


def seed_reader(name: str, services: Services) -> Callable[[gr.Request, str, float], str]:
    """The function behind ♻️: the seed of the picture on display, or -1 when there is none."""

    def read(pressed: gr.Request, job_id: str, index: float) -> str:
        images = shown_pictures(services, pressed_by(pressed), job_id)
        if not 0 <= int(index) < len(images):
            return "-1"
        return str(getattr(images[int(index)], name))

    return read


def _wire_paste(tab: GenerationTab, services: Services) -> None:
    notice = gr.Textbox("", visible="hidden", elem_id=f"{tab.form.mode}_notice")

    def read(prompt: str) -> list[Any]:
        text = prompt if prompt.strip() else services.gallery.read_params()
        values, notices = form_values(services, text) if text.strip() else ({}, ("There is nothing to read yet.",))
        return [tab.form.arrival(values), message("\n".join(notices))]

    pasted = tab.top.paste.click(read, tab.top.prompt, [tab.form.arriving, notice], **QUICK)
    tab.form.fill(pasted).then(None, notice, None, js=SAY)


# What the reading of the prompts depends on.
READ_FROM: Final = ("prompt", "negative_prompt", "styles", "steps", "sampler_name")


def _wire_reading(tab: GenerationTab, services: Services, page: gr.Blocks) -> None:
    """Say how the prompts read, and how long it will take where that is long: after each change of what they depend on,
    and after each result, which the time is learned from."""
    top, form = tab.top, tab.form.controls
    names = [name for name in ESTIMATED_FROM if name in form]

    def read_and_estimate(
        prompt: str, negative: str, styles: list[str], steps: object, sampler: str, *values: object
    ) -> tuple[str, str, str, str]:
        usable = int(steps) if isinstance(steps, int | float) and 1 <= steps <= 1000 else 1
        typed = Typed(prompt or "", negative or "", tuple(styles or ()), usable, sampler or "")
        wanted = dict(zip(names, values, strict=True))
        said = estimate(services, tab.form.mode, wanted).html()
        return *counters(services, typed), reading_html(services, typed), said

    inputs = [form[name] for name in (*READ_FROM, *names)]
    outputs = [top.counter, top.negative_counter, top.reading, top.estimate]
    pressed = _after(tab, "read", [form[name] for name in {*READ_FROM, *names}])
    events = [pressed, tab.results.shown.change, page.load]
    gr.on(events, read_and_estimate, inputs, outputs, **QUICK, trigger_mode="always_last", preprocess=False)


def _after(tab: GenerationTab, name: str, controls: Sequence[Any]) -> Callable[..., Any]:
    """The event that comes once `controls` have stopped to change; see assets/soon.js."""
    button_id = f"{tab.form.mode}_{name}_soon"
    button = gr.Button("", visible="hidden", elem_id=button_id)
    changes = [events_of(control).change for control in controls]
    gr.on(changes, None, None, None, js=f"() => window.webui?.soon('{button_id}')")
    click: Callable[..., Any] = button.click
    return click


def _wire_styles(tab: GenerationTab, services: Services) -> None:
    top = tab.top

    notice = gr.Textbox("", visible="hidden", elem_id=f"{tab.form.mode}_style_notice")

    def merge(prompt: str, negative: str, names: list[str]) -> tuple[str, str, list[str], str]:
        try:
            return *services.styles.merge(prompt, negative, tuple(names or ())), [], ""
        except RequestError as error:
            return prompt, negative, names, message(str(error), "error")

    boxes = [top.prompt, top.negative_prompt, top.styles]
    top.apply_styles.click(merge, boxes, [*boxes, notice], preprocess=False, **QUICK).then(None, notice, None, js=SAY)
    top.edit_styles.click(None, None, None, js=f"() => window.webui.editStyles('{tab.form.mode}')")


def _wire_memory(tab: GenerationTab, services: Services, page: gr.Blocks, *, own_size: bool) -> None:
    form = tab.form
    names = json.dumps(form.names)
    changed = _after(tab, "remember", form.components)
    changed(
        None,
        form.components,
        None,
        js=f"(...values) => window.webui.remember('{form.mode}', {names}, values)",
        trigger_mode="always_last",
    )

    def restore(text: str) -> str:
        values = stored_values(text, form.names)
        size = listing.native_size(services, services.current_checkpoint())
        if size is not None and "width" not in values and not own_size:
            values["width"], values["height"] = size
        return form.arrival(values)

    stored = gr.Textbox("", visible="hidden", elem_id=f"{form.mode}_stored")
    loaded = page.load(
        restore, stored, form.arriving, js=f"() => [localStorage.getItem('webui-{form.mode}') ?? '']", **QUICK
    )
    form.fill(loaded).then(
        None,
        form.components,
        None,
        # The scripts may still be on their way: then they find it here.
        js="(...values) => { "
        f"(window.webuiForms ??= {{}})['{form.mode}'] = [{names}, values]; "
        "window.webui?.restored(); }",
    )
