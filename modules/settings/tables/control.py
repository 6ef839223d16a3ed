"""Settings about ControlNet and its relatives, by the keys of sd-webui-controlnet."""

from functools import partial

from modules.settings import declare

text = partial(declare.text, "control_net")

OPTIONS = (
    text(
        "control_net_models_path",
        "",
        "Another folder of control models",
        hint="searched beside models/ControlNet",
        restrict_api=True,
    ),
)
