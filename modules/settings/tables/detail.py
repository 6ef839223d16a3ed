"""Settings about the detail pass, under ADetailer's keys."""

from functools import partial

from modules.settings import declare

switch = partial(declare.switch, "ADetailer")

OPTIONS = (
    declare.whole("ADetailer", "ad_max_models", 4, "Number of tabs", 1, 15, travels=True, needs=declare.PAGE),
    declare.text(
        "ADetailer",
        "ad_extra_models_dir",
        "",
        "More folders with detectors",
        hint="several: parted by |",
        travels=True,
        restrict_api=True,
    ),
    switch("ad_save_previews", False, "Save a picture that shows the masks", travels=True),
    switch("ad_save_images_before", False, "Save the picture before the detail pass", travels=True),
    switch("ad_only_selected_scripts", True, "Only named scripts work inside the detail pass", changes_picture=True),
    declare.text(
        "ADetailer",
        "ad_script_names",
        "dynamic_prompting,dynamic_thresholding,lora_block_weight,negpip,wildcard_recursive,wildcards",
        "Scripts that work inside the detail pass",
        hint="names of their files, comma-separated",
        changes_picture=True,
    ),
    declare.choice(
        "ADetailer",
        "ad_bbox_sortby",
        "None",
        "Order of the masks",
        ("None", "Position (left to right)", "Position (center to edge)", "Area (large to small)"),
        changes_picture=True,
    ),
    switch("ad_same_seed_for_each_tab", False, "The same seed for each mask", changes_picture=True),
    declare.number(
        "ADetailer",
        "ad_dynamic_denoise_power",
        0,
        "Less denoising for larger finds",
        -10,
        10,
        0.01,
        hint="a power of the share that is not found; 0: off, negative: more for larger ones",
        changes_picture=True,
    ),
    declare.choice(
        "ADetailer",
        "ad_match_inpaint_bbox_size",
        "Off",
        "Size of the pass follows the shape of what is found",
        ("Off", "Strict (SDXL only)", "Free"),
        changes_picture=True,
    ),
)
