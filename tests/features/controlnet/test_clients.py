"""Units as programs send them, read into the same arguments."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from PIL import Image

from modules.features.controlnet.declare import CONTROLNET, UnitArguments, read_api_units
from modules.features.declaration import checked_arguments

# It has no types.
webuiapi: Any = import_module("webuiapi")


def read(unit: dict[str, Any]) -> UnitArguments:
    given = read_api_units([unit])["units"]
    assert isinstance(given, list) and isinstance(given[0], dict)
    # Pictures become inputs of the job first; only their text is looked at here.
    named: Any = [{**given[0], "image": "0" * 64 if given[0]["image"] else "", "mask": ""}]
    units: Any = checked_arguments(CONTROLNET, {"units": named})["units"]
    return UnitArguments.read(units[0])


def test_a_unit_of_webuiapi() -> None:
    sent = webuiapi.ControlNetUnit(
        image=Image.new("RGB", (8, 8)),
        module="canny",
        model="control_v11p_sd15_canny [d14c016b]",
        weight=0.8,
        resize_mode="Resize and Fill",
        guidance_end=0.5,
        control_mode=2,
        pixel_perfect=True,
    ).to_dict()
    unit = read(sent)
    assert unit.enabled and unit.image and unit.pixel_perfect and unit.module == "canny"
    assert (unit.weight, unit.guidance_start, unit.guidance_end) == (0.8, 0, 0.5)
    assert (unit.control_mode, unit.resize_mode) == ("ControlNet is more important", "Resize and Fill")
    assert (unit.processor_res, unit.threshold_a, unit.threshold_b) == (512, 64, 64)


@pytest.mark.parametrize(
    ("more", "mode", "resize"),
    [
        ({"guess_mode": True}, "ControlNet is more important", "Crop and Resize"),
        ({"control_mode": 1, "resize_mode": 0}, "My prompt is more important", "Just Resize"),
        ({"resize_mode": "Envelope (Outer Fit)"}, "Balanced", "Resize and Fill"),
        ({"resize_mode": "Scale to Fit (Inner Fit)", "lowvram": True}, "Balanced", "Crop and Resize"),
    ],
)
def test_units_in_the_words_of_older_clients(more: dict[str, Any], mode: str, resize: str) -> None:
    """Without `enabled`, with `input_image`, `lowvram` and `guidance`, as plugins of before 1.1.45 have them."""
    old = {"input_image": "aGk=", "module": "depth", "model": "diff_control_sd15_depth_fp16", "weight": 1}
    unit = read({**old, "guidance": 0.7, "processor_res": -1, "threshold_a": -1, "unknown": [1], **more})
    assert unit.enabled and unit.image and unit.guidance_end == 0.7
    assert (unit.control_mode, unit.resize_mode) == (mode, resize)
    assert unit.low_vram is bool(more.get("lowvram"))
    assert unit.processor_res == unit.threshold_a == -1
