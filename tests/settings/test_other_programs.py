"""The folders of models in installations as the other programs make them."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.settings import Paths, parse_flags
from modules.settings.other_programs import (
    OtherProgramError,
    other_program,
    programs_nearby,
    remember_programs,
    remembered_programs,
)


def installed(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
    return root


@pytest.mark.parametrize(
    ("folders", "kinds"),
    [
        (  # A1111 and Forge
            [
                "models/Stable-diffusion",
                "models/Lora",
                "embeddings",
                "extensions/sd-webui-controlnet/models",
                "outputs",
            ],
            {"checkpoints", "loras", "embeddings", "controls"},
        ),
        (  # ComfyUI, portable
            [
                "ComfyUI/models/checkpoints",
                "ComfyUI/models/unet",
                "ComfyUI/models/loras",
                "ComfyUI/models/upscale_models",
            ],
            {"checkpoints", "loras", "upscalers"},
        ),
        (  # InvokeAI
            ["models/sdxl/main", "models/sdxl/lora", "models/sd-1/embedding", "models/any/clip_vision"],
            {"checkpoints", "loras", "embeddings", "clip_vision"},
        ),
        (  # StabilityMatrix
            ["Data/Models/StableDiffusion", "Data/Models/TextEncoders", "Data/Models/VAE"],
            {"checkpoints", "text_encoders", "vaes"},
        ),
        (
            ["Models/Stable-Diffusion", "Models/Lora", "Models/clip"],
            {"checkpoints", "loras", "text_encoders"},
        ),  # SwarmUI
    ],
)
def test_each_programs_folders_are_found(tmp_path: Path, folders: list[str], kinds: set[str]) -> None:
    program = other_program(installed(tmp_path, *folders))
    assert set(program.models) == kinds
    assert all(path.is_dir() for paths in program.models.values() for path in paths)


def test_the_folder_of_models_itself_may_be_named(tmp_path: Path) -> None:
    installed(tmp_path, "models/checkpoints", "models/vae")
    assert set(other_program(tmp_path / "models").models) == {"checkpoints", "vaes"}


@pytest.mark.parametrize("folder", ["relative/ComfyUI", "", "\x00", "/no/such/folder"])
def test_what_is_no_installation_is_one_sentence(tmp_path: Path, folder: str) -> None:
    with pytest.raises(OtherProgramError, match="is not a folder of this machine"):
        other_program(Path(folder))
    with pytest.raises(OtherProgramError, match="holds no models of a program known here"):
        other_program(installed(tmp_path, "music"))


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    installed(tmp_path, "models/checkpoints")
    (tmp_path / "models" / "round").symlink_to(tmp_path)
    assert other_program(tmp_path).models == {"checkpoints": (tmp_path / "models" / "checkpoints",)}


def test_folders_come_behind_our_own_and_are_known_as_foreign(tmp_path: Path) -> None:
    comfy = installed(tmp_path / "ComfyUI", "models/loras", "models/checkpoints", "models/embeddings")
    flags = parse_flags(
        ["--data-dir", str(tmp_path / "ours"), "--other-models", str(comfy), "--other-models", "gone"], {}
    )
    paths = Paths.from_flags(flags, tmp_path / "ours")
    assert paths.lora_dirs == (
        tmp_path / "ours/models/Lora",
        tmp_path / "ours/models/LyCORIS",
        comfy / "models/loras",
    )
    assert paths.embeddings_dirs == (tmp_path / "ours/embeddings", comfy / "models/embeddings")
    assert comfy / "models/checkpoints" in paths.checkpoint_dirs[1:]
    assert set(paths.foreign_dirs) == {comfy / "models" / name for name in ("loras", "checkpoints", "embeddings")}


def test_those_nearby_are_found_once_and_not_when_used(tmp_path: Path) -> None:
    comfy = installed(tmp_path / "ComfyUI", "models/checkpoints")
    webui = installed(tmp_path / "stable-diffusion-webui", "models/Lora")
    installed(tmp_path / "SwarmUI", "bin")
    found = programs_nearby([tmp_path, tmp_path, tmp_path / "none"], [])
    assert {one.folder for one in found} == {comfy, webui}
    assert [one.folder for one in programs_nearby([tmp_path], [comfy])] == [webui]


def test_the_list_is_remembered(tmp_path: Path) -> None:
    assert remembered_programs(tmp_path) == ()
    remember_programs(tmp_path, ["/b", "/a", "/b"])
    assert remembered_programs(tmp_path) == ("/b", "/a")
    (tmp_path / "other-programs.json").write_text('{"folders": [3, "/c"]}')
    assert remembered_programs(tmp_path) == ("/c",)
    (tmp_path / "other-programs.json").write_text("[")
    assert remembered_programs(tmp_path) == ()
