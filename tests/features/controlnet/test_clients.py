"""Units as programs send them, read into the same arguments."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from PIL import Image

from modules.features.controlnet.declare import CONTROLNET, UnitArguments, read_api_units
from modules.features.declaration import ScriptError, checked_arguments

# It has no types.
webuiapi: Any = import_module("webuiapi")


def read(unit: dict[str, Any]) -> UnitArguments:
    given = read_api_units([unit])["units"]
    assert isinstance(given, list) and isinstance(given[0], dict)
    units: Any = checked_arguments(CONTROLNET, {"units": [given[0]]})["units"]
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


@pytest.mark.parametrize(
    ("more", "pictures"),
    [
        ({}, [("a", "")]),
        ({"mask": "m"}, [("a", "m")]),
        ({"mask_image": "m"}, [("a", "m")]),
        ({"image": ["a"]}, [("a", "")]),
        ({"image": ["a", "m"]}, [("a", "m")]),
        ({"image": {"image": "a", "mask": "m"}}, [("a", "m")]),
        ({"image": [{"image": "a"}], "mask": "m"}, [("a", "m")]),
        ({"image": [{"image": "a", "mask": "m"}, {"image": "b"}]}, [("a", "m"), ("b", "")]),
        ({"image": None, "input_mode": "merge", "multi_inputs_gallery": ["a", "b"]}, [("a", ""), ("b", "")]),
        ({"image": None}, [("", "")]),
        ({"image": []}, [("", "")]),
    ],
)
def test_a_units_pictures_in_every_form(more: dict[str, Any], pictures: list[tuple[str, str]]) -> None:
    unit = read({"enabled": True, "module": "ip-adapter-auto", "image": "a", **more})
    assert list(unit.pictures) == pictures


def test_a_unit_of_several_pictures_is_as_many_units_that_share_its_weight() -> None:
    unit = read(
        {"enabled": True, "weight": 0.9, "image": [{"image": "a", "mask": "m"}, {"image": "b"}, {"image": "c"}]}
    )
    each = [(one.image, one.mask, one.more_images, one.weight) for one in unit.apart()]
    assert each == [("a", "m", (), pytest.approx(0.3)), ("b", "", (), 0.3), ("c", "", (), 0.3)]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"loopback": True}, "from the run before"),
        ({"input_mode": "other"}, "it must be one of simple, batch, merge"),
        ({"ipadapter_input": ["gASV"]}, "pickled tensors"),
        ({"image": 7}, "no base64 text"),
        ({"image": [{"image": "a"}, {"image": 7}]}, "no base64 text"),
        ({"image": [{"image": "a"}] * 40}, "at most 31 are possible"),
    ],
)
def test_what_a_unit_can_t_be_given_is_one_sentence(field: dict[str, Any], said: str) -> None:
    with pytest.raises(ScriptError, match=said):
        read({"enabled": True, "module": "canny", "model": "canny", "image": "a", **field})
    if "mode" in "".join(field):
        assert not read({"enabled": False, **field}).enabled


@pytest.mark.parametrize("mode", ["batch", "InputMode.BATCH", "Batch"])
def test_a_unit_of_a_folder_has_no_picture_of_its_own(mode: str) -> None:
    unit = read({"enabled": True, "module": "canny", "model": "canny", "input_mode": mode, "batch_images": "/a/folder"})
    assert (unit.input_mode, unit.batch_images, unit.pictures) == ("Batch", "/a/folder", (("", ""),))


def test_every_field_of_the_extension_is_read_or_meant_for_its_own_page() -> None:
    """As its API documents a unit; what is at its default says nothing."""
    unit = read(
        {
            "enabled": True, "module": "canny", "model": "control_v11p_sd15_canny [d14c016b]", "weight": 1.0,
            "image": "a", "resize_mode": "Crop and Resize", "low_vram": False, "processor_res": -1, "threshold_a": -1,
            "threshold_b": -1, "guidance_start": 0.0, "guidance_end": 1.0, "pixel_perfect": False,
            "control_mode": "Balanced", "hr_option": "Both", "inpaint_crop_input_image": True,
            "save_detected_map": True, "advanced_weighting": None, "effective_region_mask": None, "mask": None,
            "union_control_type": "Unknown", "pulid_mode": "Fidelity", "input_mode": "simple", "batch_images": "",
            "output_dir": "", "loopback": False, "ipadapter_input": None,
        }
    )  # fmt: skip
    assert unit == read({"enabled": True, "module": "canny", "model": unit.model, "image": "a"})
