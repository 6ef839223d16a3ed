"""Control models in the catalogue: where they are looked for, what they are called, and what a name means."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from modules.catalogue import Catalogue, ModelFileError, ModelFolders, ModelNotFoundError
from modules.catalogue.control_kinds import ControlKind, control_bytes, control_family, control_kind
from modules.settings import Paths
from modules.settings.flag_parser import parse_flags

LONG = bytes(range(256)) * 4352


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    names = ("ControlNet", "flag", "setting")
    for name in names:
        (tmp_path / name / "sub").mkdir(parents=True)
    return {name: tmp_path / name for name in names}


def catalogue_of(folders: dict[str, Path]) -> Catalogue:
    controls = (folders["ControlNet"], folders["flag"])
    cache = folders["flag"].parent / "hashes.json"
    return Catalogue(ModelFolders(controls=controls), cache, more_controls=lambda: str(folders["setting"]))


def put(folder: Path, *names: str, content: bytes = b"x") -> None:
    for name in names:
        (folder / name).write_bytes(content)


def test_all_folders_and_suffixes_are_listed_by_stem_and_hash(folders: dict[str, Path]) -> None:
    put(folders["ControlNet"], "a.pth", "sub/b.safetensors", "readme.txt", "c.yaml")
    put(folders["flag"], "d.ckpt", "e.pt")
    put(folders["setting"], "sub/f.bin", content=LONG)
    empty, whole = hashlib.sha256(b"").hexdigest()[:8], hashlib.sha256(LONG[0x100000:0x110000]).hexdigest()[:8]
    titles = [file.title for file in catalogue_of(folders).controls()]
    assert titles == [*(f"{stem} [{empty}]" for stem in "abde"), f"f [{whole}]"]


def test_a_file_that_changes_is_called_otherwise(folders: dict[str, Path]) -> None:
    put(folders["ControlNet"], "a.pth")
    catalogue = catalogue_of(folders)
    (before,) = catalogue.controls()
    put(folders["ControlNet"], "a.pth", content=LONG)
    (after,) = catalogue.controls()
    assert before.title != after.title


@pytest.mark.parametrize(
    ("wanted", "stem"),
    [
        ("control_canny [{hash}]", "control_canny"),
        ("Control_Canny", "control_canny"),
        ("control_canny [0123abcd]", "control_canny"),
        ("canny", "control_canny"),
        ("sdxl_canny", "Control_SDXL_Canny_full"),
        ("depth", "control_depth"),
    ],
)
def test_a_name_means_the_nearest_file(folders: dict[str, Path], wanted: str, stem: str) -> None:
    put(folders["ControlNet"], "Control_SDXL_Canny_full.safetensors", "control_canny.pth", "control_depth.pth")
    text = wanted.format(hash=hashlib.sha256(b"").hexdigest()[:8])
    assert catalogue_of(folders).find_control(text).stem == stem


def test_a_name_that_means_none_is_answered_with_the_nearest(folders: dict[str, Path]) -> None:
    catalogue = catalogue_of(folders)
    with pytest.raises(ModelNotFoundError, match=r"There is no control model; put its file into .*ControlNet"):
        catalogue.find_control("canny")
    put(folders["ControlNet"], "control_canny.pth")
    with pytest.raises(
        ModelNotFoundError, match="No control model is called 'control_kanny'; did you mean control_canny"
    ):
        catalogue.find_control("control_kanny")


def test_the_folders_of_an_installation(tmp_path: Path) -> None:
    paths = Paths.from_flags(parse_flags(["--data-dir", str(tmp_path), "--controlnet-dir", str(tmp_path / "more")]))
    found = ModelFolders.from_paths(paths)
    assert found.controls == (tmp_path / "models" / "ControlNet", tmp_path / "more")
    assert found.clip_vision == (tmp_path / "models" / "clip_vision",)


TEXT = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"
KINDS: dict[ControlKind, list[tuple[dict[str, tuple[int, ...]], str]]] = {
    ControlKind.CONTROLNET: [
        ({"control_model.input_hint_block.0.weight": (16, 3, 3, 3), f"control_model.{TEXT}.weight": (320, 768)}, "SD1"),
        ({"input_hint_block.0.weight": (16, 3, 3, 3), f"{TEXT}.weight": (320, 1024)}, "SD2"),
        ({"input_hint_block.0.weight": (16, 3, 3, 3), "label_emb.0.0.bias": (1280,)}, "SDXL"),
        ({"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "add_embedding.linear_1.bias": (1280,)}, "SDXL"),
    ],
    ControlKind.UNION: [
        (
            {
                "controlnet_cond_embedding.conv_in.weight": (48, 3, 3, 3),
                "control_add_embedding.linear_1.bias": (1280,),
                "task_embedding": (8, 320),
            },
            "SDXL",
        )
    ],
    ControlKind.CONTROL_LORA: [
        ({"lora_controlnet": (), "input_hint_block.0.weight": (16, 3, 3, 3), f"{TEXT}.down": (64, 768)}, "SD1"),
        ({"lora_controlnet": (), "label_emb.0.0.down": (64, 2816), f"{TEXT}.down": (64, 2048)}, "SDXL"),
    ],
    ControlKind.T2I_ADAPTER: [
        ({"adapter.body.0.resnets.0.block1.weight": (), "adapter.conv_in.weight": (320, 768, 3, 3)}, "SDXL"),
        ({"conv_in.weight": (320, 192, 3, 3), "body.0.block2.weight": ()}, "SD1"),
        ({"conv_in.weight": (320, 256, 3, 3), "body.0.block2.weight": ()}, "SDXL"),
        ({"body.0.in_conv.weight": (80, 192, 1, 1)}, "SD1"),
    ],
    ControlKind.LLLITE: [({"lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.up.0.weight": ()}, "SDXL")],
    ControlKind.IP_ADAPTER: [
        ({"image_proj.proj.weight": (3072, 1024), "ip_adapter.1.to_k_ip.weight": (320, 768)}, "SD1"),
        ({"image_proj.latents": (1, 16, 768), "ip_adapter.1.to_k_ip.weight": (640, 2048)}, "SDXL"),
    ],
    ControlKind.STYLE: [({"style_embedding": (1, 8, 1024), "proj": (1024, 768)}, "SD1")],
}


@pytest.mark.parametrize(
    ("kind", "shapes", "family"), [(kind, *one) for kind, several in KINDS.items() for one in several]
)
def test_shapes_say_what_a_control_model_is(kind: ControlKind, shapes: dict[str, tuple[int, ...]], family: str) -> None:
    assert control_kind("no such word.safetensors", shapes) is kind
    assert control_family(kind, shapes) == family


def test_what_a_control_model_takes_in_memory() -> None:
    assert control_bytes(ControlKind.T2I_ADAPTER, {"conv_in.weight": (320, 192, 3, 3), "b": (320,)}, 2) == 2 * 553_280
    lora: dict[str, tuple[int, ...]] = {"lora_controlnet": (), f"{TEXT}.down": (64, 768)}
    assert control_bytes(ControlKind.CONTROL_LORA, lora, 2) == 722_600_000
    assert control_bytes(ControlKind.CONTROL_LORA, {**lora, "label_emb.0.0.down": (64, 2816)}, 2) == 2_502_000_000


REFUSED: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "InstantID": ("ControlNet_instant_id_sdxl.safetensors", {"input_hint_block.0.weight": (16, 3, 3, 3)}),
    "SparseCtrl": (
        "v3_sd15_sparsectrl_rgb.ckpt",
        {
            "controlnet_cond_embedding.conv_in.weight": (16, 5, 3, 3),
            "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (320,),
        },
    ),
    "PuLID": ("ip-adapter_pulid_sdxl_fp16.safetensors", {"image_proj.x": (1,), "ip_adapter.x": (1,)}),
    "FaceID": (
        "ip-adapter-faceid_sd15.bin",
        {"image_proj.proj.0.weight": (1024, 512), "image_proj.proj.2.weight": (1,), "ip_adapter.0.to_k_lora.up": (1,)},
    ),
    "InsightFace": (
        "ip-adapter-faceid-plusv2_sd15.bin",
        {"image_proj.perceiver_resampler.proj_in.weight": (1,), "ip_adapter.0.to_k_lora.up": (1,)},
    ),
    "Flux": ("flux-canny.safetensors", {"controlnet_x_embedder.weight": (3072, 64)}),
    "no control model of a kind that is known": ("something.safetensors", {"something.weight": (1,)}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_t_be_used_is_refused_by_name(what: str) -> None:
    name, shapes = REFUSED[what]
    with pytest.raises(ModelFileError) as refused:
        control_kind(name, shapes)
    assert str(refused.value).startswith(name)
    assert what in str(refused.value)
