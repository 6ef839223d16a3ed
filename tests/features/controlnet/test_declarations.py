"""Names, sliders and control types of preprocessors."""

import re
import subprocess
import sys

import pytest

from modules.features.controlnet.control_types.declare import (
    CONTROL_TYPES,
    default_model,
    default_preprocessor,
    find_control_type,
    models_of,
    offered_by,
    preprocessors_of,
)
from modules.features.controlnet.declare import IMAGE_WEIGHTS
from modules.features.controlnet.preprocessors.declare import (
    PREPROCESSORS,
    UnknownPreprocessorError,
    find_preprocessor,
)
from modules.parameters.control import ImageWeightType

MODELS = [
    "control_sd15_canny [fef5e48e]",
    "control_v11p_sd15_canny [d14c016b]",
    "control_v11f1e_sd15_tile [a371b31b]",
    "t2iadapter_color_sd14v1 [8522029d]",
    "ip-adapter_sd15 [6a3f6166]",
    "xinsir_promax [9460e4db]",
    "control_v11p_sd15_seg [e1f51eb9]",
    "noob_normal [00000000]",
    "bdsqlsz_controlllite_xl_sketch [12345678]",
]


def test_names_are_found_by_name_label_and_in_any_case() -> None:
    assert find_preprocessor("Canny").name == "canny"
    assert find_preprocessor("invert (from white bg & black line)").name == "invert"
    assert find_preprocessor("t2ia_color_grid").name == "color"
    assert find_preprocessor("inpaint_global_harmonious").name == "inpaint"
    assert find_preprocessor("").name == find_preprocessor("None").name == "none"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownPreprocessorError, match=r"no preprocessor 'cany'.*canny"):
        find_preprocessor("cany")


def test_no_two_preprocessors_share_a_name() -> None:
    names = [name.casefold() for one in PREPROCESSORS for name in {one.name, one.title, *one.aliases}]
    assert len(names) == len(set(names))
    tags = {one.tag for one in CONTROL_TYPES}
    assert all(set(one.control_types) <= tags for one in PREPROCESSORS)


def test_sliders_as_the_api_lists_them() -> None:
    assert find_preprocessor("canny").as_api() == {
        "model_free": False,
        "sliders": [
            {"name": "Resolution", "value": 512, "min": 64, "max": 2048, "step": 8},
            {"name": "Low Threshold", "value": 100, "min": 1, "max": 255, "step": 1},
            {"name": "High Threshold", "value": 200, "min": 1, "max": 255, "step": 1},
        ],
    }
    assert find_preprocessor("reference_only").as_api()["model_free"] is True
    assert find_preprocessor("none").as_api() == {"model_free": False, "sliders": []}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ip-adapter_clip_sd15", "ip-adapter_clip_h"),
        ("ip-adapter_clip_sdxl", "ip-adapter_clip_g"),
        ("CLIP-ViT-H (IPAdapter)", "ip-adapter_clip_h"),
        ("t2ia_style_clipvision", "clip_vision"),
        ("seg_ofade20k", "oneformer_ade20k"),
    ],
)
def test_other_names_of_preprocessors(name: str, meant: str) -> None:
    assert find_preprocessor(name).name == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ip-adapter_face_id_plus", "insightface/models/antelopev2"),
        ("instant_id_face_embedding", "face recognition of InsightFace"),
        ("densepose", r"densepose_r50_fpn_dl\.torchscript\), and programs are not run"),
        ("depth_leres++", r"leres/latest_net_G\.pth"),
        ("normal_dsine", r"normal_dsine/dsine\.pt"),
        ("seg_ufade20k", r"uniformer/upernet_global_small\.pth.* oneformer_ade20k"),
        ("Mobile_SAM", r"mobile_sam/mobile_sam\.pt"),
    ],
)
def test_preprocessors_that_can_t_be_used_say_which_file_is_theirs(name: str, said: str) -> None:
    with pytest.raises(UnknownPreprocessorError, match=f"^The preprocessor {re.escape(name)} .*{said}"):
        find_preprocessor(name)


def test_each_type_begins_with_its_own_preprocessor() -> None:
    """Else what a type chooses isn't what people of A1111 know."""
    for one in CONTROL_TYPES[1:]:
        assert default_preprocessor(one).name == one.default_preprocessor or one.default_preprocessor == "none", one.tag


@pytest.mark.parametrize(("given", "value"), [(None, 9), (-1, 9), (65, 9), (0.01, 0.01), (64, 64)])
def test_a_value_out_of_range_is_the_default(given: float | None, value: float) -> None:
    sigma = find_preprocessor("blur_gaussian").threshold_a
    assert sigma is not None and sigma.value(given) == value


def test_a_type_lists_its_preprocessors_and_models() -> None:
    canny = find_control_type("canny")
    assert [one.name for one in preprocessors_of(canny)] == ["none", "invert", "canny"]
    assert default_preprocessor(canny).name == "canny"
    assert models_of(canny, MODELS) == (MODELS[0], MODELS[1])
    assert default_model(canny, MODELS) == MODELS[1]
    assert models_of(canny, MODELS, {MODELS[5]}) == (MODELS[0], MODELS[1], MODELS[5])
    assert default_model(canny, []) == "None"


@pytest.mark.parametrize(
    ("tag", "model"),
    [
        ("T2I-Adapter", MODELS[3]),
        ("IP-Adapter", MODELS[4]),
        ("Segmentation", MODELS[6]),
        ("NormalMap", MODELS[7]),
        ("Scribble", MODELS[8]),
        ("Tile", MODELS[2]),
    ],
)
def test_models_are_chosen_by_tag_and_alias(tag: str, model: str) -> None:
    control = find_control_type(tag)
    assert models_of(control, MODELS) == (model,)
    assert default_model(control, MODELS) == model


def test_models_for_many_types_are_offered_with_each_type_that_has_a_number() -> None:
    names = ["xinsir-union-promax [1]", "control_v11p_sd15_canny [2]"]
    assert offered_by(find_control_type("Canny"), names) == (["none", "invert", "canny"], names, "canny", names[1])
    assert offered_by(find_control_type("Depth"), names).models == names[:1]
    assert offered_by(find_control_type("Shuffle"), names).models == []


def test_all_lists_everything_and_chooses_nothing() -> None:
    everything = find_control_type("no such tag")
    assert everything.tag == "All"
    assert preprocessors_of(everything) == PREPROCESSORS
    assert models_of(everything, MODELS) == tuple(MODELS)
    assert (default_preprocessor(everything).name, default_model(everything, MODELS)) == ("none", "None")


def test_union_numbers() -> None:
    assert {one.tag: one.union for one in CONTROL_TYPES if one.union is not None} == {
        **dict.fromkeys(("Canny", "Lineart", "MLSD"), 3),
        **dict.fromkeys(("SoftEdge", "Scribble"), 2),
        **{"OpenPose": 0, "Depth": 1, "NormalMap": 4, "Segmentation": 5, "Tile": 6, "Inpaint": 7},
    }


def test_declarations_load_neither_torch_nor_opencv() -> None:
    code = (
        "import sys, modules.features.controlnet.control_types.declare\n"
        "assert not {'torch', 'cv2', 'numpy'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_weight_types_of_the_page_are_those_that_are_computed() -> None:
    assert list(IMAGE_WEIGHTS) == [one.value for one in ImageWeightType]
