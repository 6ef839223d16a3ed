"""Settings about ControlNet and its relatives, by the keys of sd-webui-controlnet."""

from functools import partial

from modules.settings import declare

text = partial(declare.text, "control_net")
whole = partial(declare.whole, "control_net")
switch = partial(declare.switch, "control_net")

OPTIONS = (
    text(
        "control_net_models_path",
        "",
        "Another folder of control models",
        hint="searched beside models/ControlNet",
        restrict_api=True,
    ),
    whole("control_net_unit_count", 3, "Units on each tab", 1, 10, needs=declare.PAGE),
    whole("control_net_model_cache_size", 2, "Control models that stay in memory", 1, 10, travels=True),
    whole("control_net_inpaint_blur_sigma", 7, "Pixels over which inpaint_only fades out", 0, 64, travels=True),
    switch("control_net_no_detectmap", False, "Don't show the detected maps behind the pictures", travels=True),
    switch("control_net_detectmap_autosaving", False, "Save the detected maps", travels=True),
)
