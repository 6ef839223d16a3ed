"""Networks behind preprocessors, on random weights in the layouts of published files.

Expected numbers come from controlnet_aux 0.0.10 (Apache-2.0), those of lineart_anime_denoise from its authors' own code
(MIT), on the same weights and pictures.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.preprocessors.declare import PREPROCESSORS, find_preprocessor
from modules.features.controlnet.preprocessors.nets import depth_anything as nets_depth_anything
from modules.features.controlnet.preprocessors.nets.depth_anything import load_depth_anything, load_depth_anything_v2
from modules.features.controlnet.preprocessors.nets.hed import load_hed
from modules.features.controlnet.preprocessors.nets.lama import load_lama
from modules.features.controlnet.preprocessors.nets.leres import load_leres
from modules.features.controlnet.preprocessors.nets.lineart import load_lineart
from modules.features.controlnet.preprocessors.nets.lineart_anime import load_lineart_anime
from modules.features.controlnet.preprocessors.nets.manga_line import load_manga_line
from modules.features.controlnet.preprocessors.nets.mlsd import load_mlsd, segments
from modules.features.controlnet.preprocessors.nets.normal_bae import load_normal_bae
from modules.features.controlnet.preprocessors.nets.oneformer import Sides, load_oneformer, oneformer_labels
from modules.features.controlnet.preprocessors.nets.palettes import ADE20K, COCO
from modules.features.controlnet.preprocessors.nets.pidinet import load_pidinet
from modules.features.controlnet.preprocessors.nets.table import NETWORKS
from modules.features.controlnet.preprocessors.nets.teed import load_teed
from modules.features.controlnet.preprocessors.plan import annotator_folders, find_weights
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.shared import SharedCache
from tests.amounts import amount, some
from tests.features.controlnet import layouts

CPU = torch.device("cpu")
LAYOUTS: dict[str, Callable[[], layouts.Shapes]] = {
    "hed": layouts.hed,
    "pidinet": layouts.pidinet,
    "softedge_teed": layouts.teed,
    "lineart": layouts.lineart,
    "lineart_coarse": layouts.lineart,
    "lineart_anime": layouts.lineart_anime,
    "lineart_anime_denoise": layouts.manga_line,
    "oneformer_ade20k": layouts.oneformer,
    "oneformer_coco": lambda: layouts.oneformer(133),
    "mlsd": layouts.mlsd,
    "depth": layouts.midas,
    "depth_zoe": layouts.zoe,
    "depth_leres": layouts.leres,
    "normal_bae": layouts.normal_bae,
    "softedge_anyline": layouts.teed,
    "inpaint_only+lama": layouts.lama,
    "depth_anything": layouts.depth_anything,
    "depth_anything_v2": lambda: layouts.depth_anything(12),
}
SHARED = {
    "hed_safe": "hed",
    "scribble_hed": "hed",
    "pidinet_safe": "pidinet",
    "pidinet_scribble": "pidinet",
    "pidinet_sketch": "pidinet",
    "normal_map": "depth",
}
# What training writes a file's weights under.
NESTED = {
    "oneformer_ade20k": "model",
    "pidinet": "state_dict",
    "depth_zoe": "model",
    "normal_bae": "model",
    "depth_leres": "depth_model",
}


def sampled() -> Tensor:
    return torch.from_numpy(np.random.RandomState(5).randint(0, 256, (1, 3, 64, 128)).astype(np.float32))


def picture(height: int = 90, width: int = 140) -> RgbArray:
    shapes = np.zeros((height, width, 3), np.uint8)
    cv2.circle(shapes, (width // 2, height // 2), height // 3, (200, 120, 40), -1)
    return shapes + np.random.RandomState(1).randint(0, 30, shapes.shape, dtype=np.uint8)


def saved(name: str, folder: Path) -> Path:
    """The file of a preprocessor where Forge puts it, with random weights."""
    file = find_preprocessor(name).files[0]
    path = folder / file.folder / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    state: Any = layouts.weights(LAYOUTS[name]())
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save({NESTED[name]: state} if name in NESTED else state, path)
    return path


@pytest.mark.parametrize(
    ("name", "load", "prepare", "expected"),
    [
        ("hed", load_hed, lambda x: x, [-0.84884, -1.13821, -1.09827, -0.51801, -0.95973]),
        ("lineart", load_lineart, lambda x: x / 255, [0.36418, 0.82058, 0.39802, 0.58834, 0.54607]),
        (
            "lineart_anime",
            load_lineart_anime,
            lambda x: functional.interpolate(x, (256, 256)) / 127.5 - 1,
            [-0.38232, -0.84627, -0.77366, -0.4503, -0.09266],
        ),
        (
            "lineart_anime_denoise",
            load_manga_line,
            lambda x: x[:, :1],
            [6.43887, 12.81862, 10.31832, 15.39625, 8.20466],
        ),
        ("pidinet", load_pidinet, lambda x: x.flip(1) / 255, [0.61926, 0.685, 0.64378, 0.99932, 0.78034]),
        ("depth_leres", load_leres, lambda x: x / 127.5 - 1, [0.02406, -0.02085, 0.01189, -0.02817, -0.02107]),
        ("normal_bae", load_normal_bae, lambda x: x / 127.5 - 1, [-0.48317, 0.03218, 0.87486, 0.95554, 0.34459]),
        ("softedge_teed", load_teed, lambda x: x, [-0.1792, -0.00012, -0.07127, 0.40121, -0.02816]),
        (
            "mlsd",
            load_mlsd,
            lambda x: torch.cat([x, torch.ones_like(x[:, :1])], 1) / 127.5 - 1,
            [0.04599, -0.16438, -0.10517, -0.01833, 0.01578],
        ),
    ],
)
def test_answers_are_those_of_the_published_code(
    tmp_path: Path,
    name: str,
    load: Callable[[Path, torch.device], nn.Module],
    prepare: Callable[[Tensor], Tensor],
    expected: list[float],
) -> None:
    net = load(saved(name, tmp_path), CPU)
    with torch.inference_mode():
        answer = net(prepare(sampled()))
    last = (answer if isinstance(answer, Tensor) else answer[-1]).flatten()
    values = [float(last[place]) for place in (0, len(last) // 3, len(last) // 2, -1)]
    assert [*values, float(last.mean())] == pytest.approx(expected, abs=1e-4)


MAPPED = [one.name for one in PREPROCESSORS if one.files and not one.takes_mask and "pose" not in one.name]
# They enlarge their pictures to what they were tested at.
DEAR = ["oneformer_ade20k", "oneformer_coco"]


@pytest.mark.parametrize(
    "name", [*some([name for name in MAPPED if name not in DEAR], 7), *DEAR[: amount(0, len(DEAR))]]
)
def test_maps_have_shape_range_and_are_the_same_each_time(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nets_depth_anything, "_SIDE", 70)  # Instead of 518, which takes seconds.
    saved(SHARED.get(name, name), tmp_path)
    preprocessor, settings = find_preprocessor(name), Settings(resolution=64)
    found = Preprocessors([tmp_path], SharedCache()).run(preprocessor, picture(), settings)
    assert found.shape == (64, 100, 3) and found.dtype == np.uint8
    assert (found == Preprocessors([tmp_path], SharedCache()).run(preprocessor, picture(), settings)).all()
    colours = set(np.unique(found))
    if name in ("scribble_hed", "pidinet_scribble", "pidinet_sketch", "mlsd"):
        assert colours <= {0, 255}
    if name in ("hed_safe", "pidinet_safe", "softedge_teed"):
        assert colours <= {0, 127, 255}
    if name.startswith("normal"):
        assert (found[:, :, 0] != found[:, :, 1]).any()
    if name.startswith("oneformer"):
        palette = {"oneformer_ade20k": ADE20K, "oneformer_coco": COCO}[name]
        assert {tuple(colour) for row in found for colour in row} <= {tuple(colour) for colour in palette}
    if name == "lineart_anime_denoise":
        assert len(colours) > 5
    if name.startswith("depth"):
        # The nearest or the farthest may lie in what was padded.
        assert int(found.max()) - int(found.min()) > 150 and len(colours) > 20


def test_lama_fills_what_is_masked_and_nothing_else(tmp_path: Path) -> None:
    """The number comes from spandrel 0.4.2's LaMa (Apache-2.0) on the same weights."""
    net = load_lama(saved("inpaint_only+lama", tmp_path), CPU)
    with torch.inference_mode():
        answer = net(sampled() / 255, (sampled()[:, :1] > 200).float())
    assert float(answer.mean()) == pytest.approx(0.46552, abs=1e-4)
    mask = np.zeros((90, 140), np.uint8)
    mask[20:60, 30:90] = 255
    found = Preprocessors([tmp_path], SharedCache()).run(
        find_preprocessor("inpaint_only+lama"), picture(), Settings(), mask
    )
    assert (found[:, :, 3] == mask).all() and (found[mask == 0, :3] == picture()[mask == 0]).all()
    assert (found[mask > 0, :3] != picture()[mask > 0]).any()


def test_normals_of_midas_look_at_us_where_it_is_far(tmp_path: Path) -> None:
    saved("depth", tmp_path)
    runs, normal = Preprocessors([tmp_path], SharedCache()), find_preprocessor("normal_midas")
    all_far = runs.run(normal, picture(), Settings(resolution=64, threshold_a=1))
    assert (all_far == (255, 127, 127)).mean() > 0.99
    assert (runs.run(normal, picture(), Settings(resolution=64, threshold_a=0)) != all_far).any()


def test_what_leres_finds_near_and_far_can_be_cut_off(tmp_path: Path) -> None:
    saved("depth_leres", tmp_path)
    runs, leres = Preprocessors([tmp_path], SharedCache()), find_preprocessor("depth_leres")
    plain = runs.run(leres, picture(), Settings(resolution=64)).astype(int)
    cut = runs.run(leres, picture(), Settings(resolution=64, threshold_a=20, threshold_b=40)).astype(int)
    assert (cut[plain >= 205] == 255).all() and (cut[plain <= 101] == 0).all()
    between = (plain > 103) & (plain < 203)
    assert between.any() and (cut[between] == plain[between]).all()


def test_every_declared_file_has_a_network_and_the_other_way_round() -> None:
    assert {one.name for one in PREPROCESSORS if one.files} == set(NETWORKS)


def test_depth_anything_is_transformers_under_other_names(tmp_path: Path) -> None:
    first = load_depth_anything(saved("depth_anything", tmp_path), CPU)
    second = load_depth_anything_v2(saved("depth_anything_v2", tmp_path), CPU)
    looked_at = [net.config.to_dict()["backbone_config"]["out_indices"] for net in (first, second)]
    assert [list(layers) for layers in looked_at] == [[1, 2, 3, 4], [3, 6, 9, 12]]
    state, file = first.state_dict(), layouts.weights(layouts.depth_anything())
    queries = file["pretrained.blocks.2.attn.qkv.weight"][:12]
    assert (state["backbone.encoder.layer.2.attention.q_proj.weight"] == queries).all()
    coarse = file["depth_head.scratch.refinenet4.resConfUnit2.conv1.weight"]
    assert (state["neck.fusion_stage.layers.0.residual_layer2.convolution1.weight"] == coarse).all()


def test_oneformer_is_transformers_under_other_names_and_shows_classes_by_their_colours(tmp_path: Path) -> None:
    path = saved("oneformer_ade20k", tmp_path)
    net, file = load_oneformer(path, CPU), layouts.weights(layouts.oneformer())
    state, name = net.state_dict(), "sem_seg_head.predictor.transformer_self_attention_layers.0.self_attn"
    values = "transformer_module.decoder.layers.0.self_attn.self_attn.v_proj.weight"
    assert (state[values] == file[f"{name}.in_proj_weight"][64:]).all()
    keys = "pixel_level_module.encoder.swin.encoder.layers.3.blocks.0.attention.k_proj.bias"
    assert (state[keys] == file["backbone.layers.3.blocks.0.attn.qkv.bias"][64:128]).all()
    with torch.no_grad():
        net.get_parameter("transformer_module.decoder.class_embed.bias")[2] += 50
    found = oneformer_labels(net, picture(), ADE20K, Sides(64, 200))
    assert (found == ADE20K[2]).all() and found.shape == (90, 140, 3)
    assert ADE20K[2].tolist() == [6, 230, 230] and COCO[:2].tolist() == [[220, 20, 60], [119, 11, 32]]


def test_a_line_is_found_where_the_answer_has_one() -> None:
    answer = torch.full((9, 32, 32), -9.0)
    answer[0, 10, 12] = 3
    answer[1:5, 10, 12] = torch.tensor([-4.0, -2, 6, 5])
    assert segments(answer, 0.1, 0.1) == [((16, 16), (36, 30))]
    assert segments(answer, 0.1, 20) == [] and segments(answer, 0.99, 0.1) == []


def test_a_missing_file_is_named_with_its_folders(tmp_path: Path) -> None:
    wanted = (
        r"softedge_hed needs ControlNetHED\.pth: put it into models/ControlNetPreprocessor/hed, or into extensions/"
    )
    with pytest.raises(ModelNotFoundError, match=wanted):
        Preprocessors([tmp_path], SharedCache()).run(find_preprocessor("hed"), picture(), Settings())


def test_files_are_found_in_all_folders_and_by_their_other_names(tmp_path: Path) -> None:
    folders = annotator_folders(tmp_path / "models", tmp_path, tmp_path / "chosen")
    hed = tmp_path / "extensions" / "sd-webui-controlnet" / "annotator" / "downloads" / "hed" / "ControlNetHED.pth"
    small = tmp_path / "models" / "ControlNetPreprocessor" / "depth_anything_v2_vits.pth"
    for path in (hed, small):
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_weights(find_preprocessor("hed"), folders) == (hed,)
    assert find_weights(find_preprocessor("depth_anything_v2"), folders) == (small,)
    mine = tmp_path / "chosen" / "hed" / "ControlNetHED.pth"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert find_weights(find_preprocessor("hed"), folders) == (mine,)


def test_a_network_stays_until_another_is_wanted_and_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = saved("hed", tmp_path)
    shared = SharedCache()
    runs = Preprocessors([tmp_path], shared)
    hed, safe = find_preprocessor("hed"), find_preprocessor("hed_safe")
    first = runs.run(hed, picture(), Settings(resolution=64))
    torch.save(layouts.weights(layouts.hed(), seed=9), path)
    assert (runs.run(hed, picture(), Settings(resolution=64)) != first).any()
    path.write_bytes(path.read_bytes())
    assert runs.run(safe, picture(), Settings(resolution=64)).shape == first.shape
    shared.forget()
    assert runs.run(hed, picture(), Settings(resolution=64)).shape == first.shape


class _Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        import os

        return os.system, ("exit 1",)


def test_files_that_are_unsafe_damaged_or_of_another_network_are_one_sentence(tmp_path: Path) -> None:
    path = saved("hed", tmp_path)

    def refused() -> str:
        with pytest.raises(ModelFileError) as caught:
            load_hed(path, CPU)
        return str(caught.value)

    torch.save({"norm": _Payload()}, path, pickle_module=pickle)
    assert "ControlNetHED.pth was refused" in refused()
    torch.save(layouts.weights(layouts.lineart()), path)
    assert "ControlNetHED.pth holds other weights" in refused()
    state = layouts.weights(layouts.hed())
    del state["block3.convs.1.bias"]
    torch.save(state, path)
    assert "or not all of them" in refused()
    path.write_bytes(b"nothing")
    assert "ControlNetHED.pth" in refused()
