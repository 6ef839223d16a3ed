"""Settings about the page: prompt editing, gallery, layout, tabs, language, live preview."""

from functools import partial
from typing import get_args

from modules.settings.choices import PreviewContent
from modules.settings.declare import PAGE, choice, number, pick, switch, text, texts, whole

PROMPT, GALLERY, ALTERNATIVES, UI, IN_UI = "ui_prompt_editing", "ui_gallery", "ui_alternatives", "ui", "settings_in_ui"
LIVE = "live_previews"

live_switch = partial(switch, LIVE, travels=True)
live_choice = partial(choice, LIVE, travels=True)

OPTIONS = (
    number(PROMPT, "keyedit_precision_attention", 0.1, "Step of Ctrl+Up and Ctrl+Down on words", 0.01, 0.2, 0.001),
    number(PROMPT, "keyedit_precision_extra", 0.05, "Step of Ctrl+Up and Ctrl+Down on <tags>", 0.01, 0.2, 0.001),
    text(PROMPT, "keyedit_delimiters", r".,\/!?%^*;:{}=`~() ", "Letters that end a word"),
    switch(PROMPT, "keyedit_move", True, "Alt+Left and Alt+Right move parts of a prompt"),
    switch(PROMPT, "disable_token_counters", False, "No token counters", needs=PAGE),
    switch(PROMPT, "include_styles_into_token_counters", True, "Token counters count styles"),
    switch(GALLERY, "return_grid", True, "Show the grid among the results", travels=True),
    switch(GALLERY, "do_not_show_images", False, "Show no results"),
    switch(GALLERY, "js_modal_lightbox", True, "A click shows the picture on the whole page"),
    switch(GALLERY, "js_modal_lightbox_initially_zoomed", True, "Zoomed in at first"),
    switch(GALLERY, "js_modal_lightbox_gamepad", False, "A gamepad leafs through pictures"),
    whole(GALLERY, "js_modal_lightbox_gamepad_repeat", 250, "Milliseconds between two pictures then", 1, 10000),
    text(GALLERY, "gallery_height", "", "Gallery height", hint="with a unit, as in 640px", needs=PAGE),
    choice(
        GALLERY,
        "open_dir_button_choice",
        "Subdirectory",
        "The folder button opens",
        ("Output Root", "Subdirectory", "Subdirectory (even temp dir)"),
    ),
    switch(ALTERNATIVES, "compact_prompt_box", False, "Prompt above the settings column", needs=PAGE),
    switch(ALTERNATIVES, "samplers_in_dropdown", True, "Samplers in a dropdown", needs=PAGE),
    switch(ALTERNATIVES, "dimensions_and_batch_together", True, "Size and batch in one row", needs=PAGE),
    switch(ALTERNATIVES, "size_follows_checkpoint", True, "A checkpoint made for another size sets width and height"),
    switch(ALTERNATIVES, "sd_checkpoint_dropdown_use_short", False, "Checkpoints listed without folders"),
    switch(ALTERNATIVES, "hires_fix_show_sampler", False, "Checkpoint and sampler of the hires pass", needs=PAGE),
    switch(ALTERNATIVES, "hires_fix_show_prompts", False, "Prompts of the hires pass", needs=PAGE),
    switch(ALTERNATIVES, "interrupt_after_current", True, "The first Interrupt lets the current picture finish"),
    pick(UI, "localization", "None", "Language", "localizations", needs=PAGE),
    texts(
        UI,
        "quicksettings_list",
        ("sd_model_checkpoint",),
        "Settings above the tabs",
        choices_from="options",
        needs=PAGE,
    ),
    texts(UI, "ui_tab_order", (), "Order of tabs", choices_from="tabs", needs=PAGE),
    texts(UI, "hidden_tabs", (), "Hidden tabs", choices_from="tabs", needs=PAGE),
    texts(
        UI,
        "ui_reorder_list",
        (),
        "Order of controls in txt2img and img2img",
        choices_from="categories",
        needs=PAGE,
    ),
    text(UI, "gradio_theme", "Default", "Gradio theme", needs=PAGE),
    switch(UI, "show_progress_in_title", True, "Progress in the window title"),
    switch(UI, "send_seed", True, "Send to: with the seed"),
    switch(UI, "send_size", True, "Send to: with the size"),
    texts(IN_UI, "extra_options_txt2img", (), "Settings shown in txt2img", choices_from="options", needs=PAGE),
    texts(IN_UI, "extra_options_img2img", (), "Settings shown in img2img", choices_from="options", needs=PAGE),
    whole(IN_UI, "extra_options_cols", 1, "Such settings in a row", 1, 20, needs=PAGE),
    switch(IN_UI, "extra_options_accordion", False, "Fold them away", needs=PAGE),
    texts(IN_UI, "disabled_extensions", (), "Extensions that are off", hidden=True, needs=PAGE, restrict_api=True),
    choice(
        IN_UI,
        "disable_all_extensions",
        "none",
        "Extensions off as a group",
        ("none", "extra", "all"),
        hidden=True,
        needs=PAGE,
        restrict_api=True,
    ),
    switch(LIVE, "show_progressbar", True, "Progress bar"),
    live_switch("live_previews_enable", True, "Show the picture while it forms"),
    live_choice("live_previews_image_format", "png", "Format of previews", ("jpeg", "png", "webp")),
    live_switch("show_progress_grid", True, "All pictures of a batch in the preview"),
    whole(
        LIVE,
        "show_progress_every_n_steps",
        10,
        "Steps between previews",
        -1,
        32,
        travels=True,
        hint="-1: only at the end",
    ),
    live_choice(
        "show_progress_type", "Approx NN", "How previews are decoded", ("Full", "Approx NN", "Approx cheap", "TAESD")
    ),
    live_switch("live_preview_allow_lowvram_full", False, "Full previews also with --lowvram and --medvram"),
    live_choice("live_preview_content", "Prompt", "What previews show", get_args(PreviewContent)),
    whole(
        LIVE,
        "live_preview_refresh_period",
        1000,
        "Milliseconds between two looks at the progress",
        50,
        60000,
        travels=True,
    ),
    live_switch("live_preview_fast_interrupt", False, "An interrupt returns the preview"),
    switch(LIVE, "js_live_preview_in_modal_lightbox", False, "Preview on the whole page"),
    switch(LIVE, "prevent_screen_sleep_during_generation", True, "Keep the screen awake while a job runs"),
)
