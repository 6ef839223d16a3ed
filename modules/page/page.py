"""The whole page: quick settings, tabs, and the scripts and styles that come with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from modules.jobs.option_changes import change_options
from modules.page import listing
from modules.page.again import wire_again
from modules.page.arrange import arrange_tab, arrange_tabs
from modules.page.defaults import PageDefaults, wire_defaults
from modules.page.detail_events import SWITCHED_ON, detailed, detailed_of_gallery
from modules.page.events import submitter, wire_generate, wire_tab
from modules.page.extras_events import wire_extras
from modules.page.extras_tab import build_extras
from modules.page.file_lists import LIST_AGAIN, wire_file_lists
from modules.page.form import Form
from modules.page.gallery_tab import build_gallery
from modules.page.get_models_tab import build_get_models
from modules.page.hires import hires_list
from modules.page.hires_events import wire_hires
from modules.page.img2img import Img2Img, build_img2img
from modules.page.img2img_events import submitter as img2img_submitter
from modules.page.img2img_events import wire_img2img
from modules.page.layout import mark_layout
from modules.page.merger_events import merger_choices, merger_lists, wire_merger
from modules.page.merger_tab import build_merger
from modules.page.messages import QUICK, SAY, message
from modules.page.option_choices import checkpoint_choices
from modules.page.option_controls import wire_option_control
from modules.page.png_info import build_png_info, wire_png_info
from modules.page.queue_tab import build_queue
from modules.page.quicksettings import QuickSettings, build_quicksettings
from modules.page.refiner import refiner_list
from modules.page.send_to import Destinations, wire_results_sending
from modules.page.styles import wire_style_lists
from modules.page.txt2img import Txt2Img, build_txt2img
from modules.page.uploads import UploadStore
from modules.settings import OptionError

if TYPE_CHECKING:
    from modules.jobs.services import Services

ASSETS: Final = Path(__file__).parent / "assets"
TITLE: Final = "Stable Diffusion"

HEAD: Final = """
<link rel="stylesheet" href="internal/assets/style.css">
<link rel="stylesheet" href="internal/assets/pictures.css">
<link rel="stylesheet" href="internal/assets/settings.css">
<link rel="stylesheet" href="internal/assets/queue.css">
<link rel="stylesheet" href="internal/assets/get_models.css">
<link rel="stylesheet" href="internal/assets/cards.css">
<link rel="stylesheet" href="internal/assets/gallery.css">
<link rel="stylesheet" href="internal/assets/units.css">
<script type="module" src="internal/assets/main.js"></script>
"""


def page_head(user_css: Path) -> str:
    """What stands in the page's head: scripts, styles, and the person's own user.css."""
    parts = [HEAD]
    if user_css.is_file():
        # The person at the machine wrote it; only the end of the element could do more than style.
        parts.append(f"<style>{user_css.read_text('utf-8', 'replace').replace('</', '<')}</style>")
    return "".join(parts)


def build_page(
    services: Services, uploads: UploadStore, defaults: PageDefaults | None = None, *, folder_button: bool
) -> gr.Blocks:
    """The Gradio Blocks of the page. `uploads` keeps the pictures that people bring to it, `defaults` its ui-config."""
    defaults = defaults or PageDefaults(services.paths.ui_config_file)
    page = gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True)
    with page:
        quick = build_quicksettings(services, folder_button=folder_button)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("txt2img", id="txt2img", elem_id="tab_txt2img"):
                tab = build_txt2img(services, folder_button=folder_button)
            with gr.Tab("img2img", id="img2img", elem_id="tab_img2img"):
                img2img = build_img2img(services, folder_button=folder_button)
            with gr.Tab("Extras", id="extras", elem_id="tab_extras"):
                without = services.options.texts("postprocessing_disable_in_extras")
                names, note = listing.upscalers(services), listing.upscalers_note(services)
                extras = build_extras(names, without, folder_button=folder_button, note=note)
            with gr.Tab("PNG Info", id="pnginfo", elem_id="tab_pnginfo"):
                info = build_png_info()
            with gr.Tab("Gallery", id="gallery", elem_id="tab_gallery"):
                build_gallery()
            with gr.Tab("Checkpoint Merger", id="modelmerger", elem_id="tab_modelmerger"):
                merger = build_merger(merger_choices(services))
            if services.get_models is not None:
                with gr.Tab("Get models", id="get_models", elem_id="tab_get_models"):
                    build_get_models()
            with gr.Tab("Queue", id="queue", elem_id="tab_queue"):
                build_queue()
            with gr.Tab("Settings", id="settings", elem_id="tab_settings"):
                # assets/settings.js fills it when the tab is opened first.
                gr.HTML('<div id="settings_panel"><p role="status">The settings are being read…</p></div>')
        defaults.apply(tabs)
        for one in (tab, img2img):
            if not defaults.chose(one.form.controls["width"]):
                _start_at_native_size(one.form, services)
        for mode in (tab.form.mode, img2img.form.mode):
            arrange_tab(page, mode, services.options)
        first = defaults.config.selected([str(getattr(one, "id", "")) for one in tabs.children])
        arrange_tabs(tabs, services.options.texts("ui_tab_order"), services.options.texts("hidden_tabs"), first)
        to = Destinations(tabs, img2img)
        wire_generate(tab, submitter(tab.form, services, uploads), stamp="stamp")
        wire_hires(tab, services, page)
        _wire_img2img(img2img, services, uploads)
        for one in (tab, img2img):
            wire_tab(one, services, page, own_size=defaults.chose(one.form.controls["width"]))
            wire_results_sending(one.results, to, services, uploads)
            wire_again(
                one.results.detail,
                "detail",
                one.results,
                one.form,
                services,
                detailed,
                SWITCHED_ON,
                of_gallery=partial(detailed_of_gallery, services, uploads),
            )
        wire_style_lists((tab, img2img), services, page)
        wire_extras(extras, services, uploads, page)
        wire_results_sending(extras.results, to, services, uploads)
        wire_merger(merger, services)
        lists = [hires_list(tab, services), *(refiner_list(one, services) for one in (tab, img2img))]
        refreshing = [merger.refresh, *(one.buttons.refresh_refiners for one in (tab, img2img))]
        wire_file_lists([*lists, *merger_lists(merger, services)], refreshing, services, page)
        _list_upscalers(tab, services, page)
        wire_png_info(info, tab, to, services, uploads)
        _wire_quicksettings(quick, tab, img2img, services, page)
        for control in quick.others:
            wire_option_control(control, services, page)
        wire_defaults(defaults)
        mark_layout(page)
    return page


def _start_at_native_size(form: Form, services: Services) -> None:
    """Width and Height as the checkpoint states them, from the first moment: who is quick draws before scripts run."""
    size = listing.native_size(services, services.current_checkpoint())
    for name, side in zip(("width", "height"), size or (), strict=False):
        form.controls[name].value = side


def _wire_img2img(tab: Img2Img, services: Services, uploads: UploadStore) -> None:
    submit = img2img_submitter(tab.form, services, uploads)
    wire_generate(tab, submit, stamp="stampWithPictures", controls=tab.batch.components, more=1)
    wire_img2img(tab)


def _list_upscalers(tab: Txt2Img, services: Services, page: gr.Blocks) -> None:
    """An upscaler that was put into place since the start is there after a reload."""
    classes = {one: getattr(one, "elem_classes", None) or [] for one in page.blocks.values()}
    notes = [one for one, names in classes.items() if listing.UPSCALERS_NOTE in names]

    def listed() -> list[object]:
        return [
            gr.Dropdown(choices=listing.hires_upscalers(services)),
            *[listing.upscalers_note(services)] * len(notes),
        ]

    page.load(listed, None, [tab.form.controls["hr_upscaler"], *notes], **QUICK)


def _wire_quicksettings(
    quick: QuickSettings, tab: Txt2Img, img2img: Img2Img, services: Services, page: gr.Blocks
) -> None:
    image_cfg = img2img.form.controls["image_cfg_scale"]
    scales = [one.form.controls["distilled_cfg_scale"] for one in (tab, img2img)]
    sides = [tab.form.controls["width"], tab.form.controls["height"]]

    def choose(title: str) -> list[Any]:
        before = listing.native_size(services, services.current_checkpoint())
        refusal = use_checkpoint(services, title)
        size = None if refusal else listing.native_size(services, listing.find_checkpoint(services, title))
        if size == before or not services.options.switch("size_follows_checkpoint"):
            # A size that was chosen for models of this kind stays.
            size = None
        sizes = [gr.skip(), gr.skip()] if size is None else [gr.update(value=side) for side in size]
        return [*sizes, *shown(), refusal]

    def shown() -> list[Any]:
        checkpoint = services.current_checkpoint()
        edits, label = listing.follows_pictures(services, checkpoint), listing.distilled_scale(services, checkpoint)
        scale = gr.update(visible="hidden") if label is None else gr.update(visible=True, label=label)
        return [gr.update(visible=edits or "hidden"), *[scale] * len(scales)]

    def listed() -> list[Any]:
        titles = gr.Dropdown(choices=checkpoint_choices(services), value=listing.current_title(services))
        return [titles, *shown()]

    def refresh() -> list[Any]:
        services.refresh_models()
        found = len(listing.checkpoint_titles(services))
        return [*listed(), message("1 checkpoint found." if found == 1 else f"{found} checkpoints found.")]

    quick.checkpoint.input(choose, quick.checkpoint, [*sides, image_cfg, *scales, quick.refusal], **QUICK).then(
        None, quick.refusal, None, js="(text) => window.webui.chosen(text)"
    )
    quick.by_card.click(
        choose,
        quick.refusal,
        [*sides, image_cfg, *scales, quick.refusal],
        js="() => window.webui.checkpointOfCard()",
        **QUICK,
    ).then(listed, None, [quick.checkpoint, image_cfg, *scales], **QUICK).then(
        None, quick.refusal, None, js="(text) => window.webui.chosen(text)"
    )
    quick.refresh.click(refresh, None, [quick.checkpoint, image_cfg, *scales, quick.notice], **QUICK).then(
        None, quick.notice, None, js=SAY
    ).then(None, None, None, js=LIST_AGAIN)
    # Pressed by the scripts when the server says that another checkpoint is in use, or the same under a new title.
    quick.sync.click(listed, None, [quick.checkpoint, image_cfg, *scales], **QUICK)
    page.load(listed, None, [quick.checkpoint, image_cfg, *scales], **QUICK)
    for button in quick.examples:
        button.click(None, button, tab.top.prompt, js="(prompt) => prompt")


def use_checkpoint(services: Services, title: str) -> str:
    """Make a checkpoint the one that jobs use from now on. Returns why not, as a sentence, or an empty text."""
    try:
        change_options(services, {"sd_model_checkpoint": title})
    except OptionError as error:
        return str(error)
    return ""
