"""Every name of a preprocessor that sd-webui-controlnet has, by API name and by label: it works, or one sentence says
which file is missing and where it goes, or that it is not here. And control models that can't be used are one too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import save_file

from tests.amounts import some
from tests.api.conftest import SMALL, b64, png
from tests.catalogue.test_controls import REFUSED
from tests.endtoend.house import one_sentence
from tests.server.server import Server

pytestmark = pytest.mark.server


def names(text: str) -> list[str]:
    return text.split()


WITHOUT_WEIGHTS = names(
    "none invert threshold canny blur_gaussian scribble_xdog lineart_standard tile_resample tile_colorfix "
    "tile_colorfix+sharp color t2ia_color_grid recolor_luminance recolor_intensity shuffle inpaint "
    "inpaint_global_harmonious inpaint_only reference_only reference_adain reference_adain+attn"
)
WITH_WEIGHTS = names(
    "hed hed_safe scribble_hed softedge_hed softedge_hedsafe pidinet pidinet_safe pidinet_scribble pidinet_sketch "
    "softedge_pidinet softedge_pidisafe scribble_pidinet t2ia_sketch_pidi lineart lineart_realistic lineart_coarse "
    "lineart_anime lineart_anime_denoise mlsd depth depth_midas normal_map normal_midas depth_leres depth_zoe "
    "depth_anything depth_anything_v2 normal_bae softedge_teed softedge_anyline openpose openpose_face "
    "openpose_faceonly openpose_hand openpose_full dw_openpose_full animal_openpose oneformer_coco oneformer_ade20k "
    "seg_ofcoco seg_ofade20k inpaint_only+lama"
)
LOOKED_AT = names(
    "ip-adapter-auto ip-adapter_clip_sd15 ip-adapter_clip_sdxl ip-adapter_clip_sdxl_plus_vith clip_vision "
    "t2ia_style_clipvision revision_clipvision revision_ignore_prompt"
)
NOT_HERE = names(
    "depth_leres++ normal_dsine segmentation seg_ufade20k densepose densepose_parula mobile_sam seg_anime_face "
    "anime_face_segment depth_hand_refiner mediapipe_face ip-adapter_face_id ip-adapter_face_id_plus "
    "instant_id_face_embedding instant_id_face_keypoints ip-adapter_pulid"
)


def detected(api: httpx.Client, name: str) -> httpx.Response:
    body = {"controlnet_module": name, "controlnet_input_images": [b64(png())], "controlnet_masks": [b64(png(seed=1))]}
    return api.post("/controlnet/detect", json={**body, "controlnet_processor_res": 64})


def drawn(api: httpx.Client, **unit: Any) -> httpx.Response:
    units = [{"enabled": True, "image": b64(png()), **unit}]
    return api.post(
        "/sdapi/v1/txt2img", json={**SMALL, "steps": 1, "alwayson_scripts": {"ControlNet": {"args": units}}}
    )


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text[:300]
    said = str(answer.json()["detail"])
    assert one_sentence(said), said
    return said


def test_every_name_and_label_that_is_listed_is_known_and_the_extensions_are_all_listed(api: httpx.Client) -> None:
    lists = [api.get("/controlnet/module_list", params={"alias_names": alias}).json() for alias in (False, True)]
    listed = {name for one in lists for name in one["module_list"]}
    known = {name.partition(" ")[0] for name in listed}
    assert known >= {*WITHOUT_WEIGHTS, *WITH_WEIGHTS} - {"tile_colorfix+sharp"} and not known & set(NOT_HERE)
    for name in sorted(listed - {*WITHOUT_WEIGHTS, *WITH_WEIGHTS, *LOOKED_AT}):
        # Labels in full, and what this program lists besides.
        answer = detected(api, name)
        assert answer.status_code == 200 or "Module not supported" in refusal(answer), name


@pytest.mark.parametrize("name", some(WITHOUT_WEIGHTS, 4))
def test_one_without_weights_makes_a_map(api: httpx.Client, name: str) -> None:
    assert detected(api, name).json()["info"] == "Success"


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_one_whose_file_is_missing_names_it_and_its_folder(api: httpx.Client, name: str) -> None:
    """As a map alone and as a unit, before anything is queued."""
    for answer in (detected(api, name), drawn(api, module=name, model="None")):
        said = refusal(answer)
        if "has no model" not in said:
            assert re.search(
                r"needs \S+\.(pth|pt|onnx|safetensors): put it into models/ControlNetPreprocessor/\w+", said
            )


def test_the_page_gets_the_same_sentence_when_a_map_is_wanted(api: httpx.Client) -> None:
    picture = api.post("/internal/pictures", content=png()).json()["id"]
    for module, said in (("depth_zoe", "needs ZoeD_M12_N.pt"), ("densepose", "programs are not run")):
        answer = api.post("/internal/controlnet/map", json={"image": picture, "module": module})
        assert said in refusal(answer)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_one_that_shows_its_picture_becomes_no_map(api: httpx.Client, name: str) -> None:
    assert "Module not supported" in refusal(detected(api, name))
    if not name.startswith("revision"):
        assert "has no model" in refusal(drawn(api, module=name))


@pytest.mark.parametrize("name", NOT_HERE)
def test_one_that_is_not_here_says_so_and_what_is_its_own(api: httpx.Client, name: str) -> None:
    for answer in (detected(api, name), drawn(api, module=name)):
        said = refusal(answer)
        assert name in said and re.search("not here|programs are not run", said)


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_for_faces_or_videos_is_refused_by_name(api: httpx.Client, server: Server, name: str) -> None:
    file, shapes = REFUSED[name]
    path = server.data_dir / "models" / "ControlNet" / Path(file).with_suffix(".safetensors").name
    path.parent.mkdir(exist_ok=True)
    save_file({key: torch.zeros(1).expand(shape).contiguous() for key, shape in shapes.items()}, path)
    try:
        answer = drawn(api, module="none", model=path.stem)
        assert path.name in refusal(answer)
    finally:
        path.unlink()
