"""What a job of the Checkpoint Merger names is there before it is queued, and its result has a name of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modules.catalogue import Catalogue, ModelFolders
from modules.intake.merger import MergerChooser
from modules.parameters import RequestError
from modules.parameters.merger_request import ExtractRequest, MergeRequest


@pytest.fixture
def chooser(tmp_path: Path) -> MergerChooser:
    checkpoints, loras, vaes = (tmp_path / name for name in ("models", "Lora", "VAE"))
    for path in (checkpoints / "a.safetensors", checkpoints / "sub" / "b.ckpt", checkpoints / "c.safetensors"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)
    for path in (loras / "style.safetensors", vaes / "mse.pt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    folders = ModelFolders(checkpoints=(checkpoints,), loras=(loras,), vaes=(vaes,))
    return MergerChooser(Catalogue(folders, tmp_path / "hashes.json"), new_checkpoints=checkpoints)


def merge(**fields: Any) -> MergeRequest:
    names = {"primary_model_name": "a", "secondary_model_name": "b", "tertiary_model_name": "c"}
    return MergeRequest.model_validate(names | fields)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "0.7(a) + 0.3(sub_b)"),
        ({"multiplier": 0.25}, "0.75(a) + 0.25(sub_b)"),
        ({"interp_method": "Add difference"}, "a + 0.3(sub_b - c)"),
        ({"interp_method": "Add difference", "multiplier": 1}, "a + 1(sub_b - c)"),
        ({"interp_method": "No interpolation"}, "a"),
        ({"block_weights": ",".join(["0.5"] * 25)}, "a + blocks(sub_b)"),
        ({"loras": [{"name": "style", "weight": 0.8}]}, "0.7(a) + 0.3(sub_b) + 0.8(style)"),
        ({"custom_name": " Mine 2 "}, "Mine 2"),
        ({"custom_name": "mine.safetensors"}, "mine"),
        ({"custom_name": "größer v1.5"}, "größer v1.5"),
    ],
)
def test_the_result_is_called_by_a1111s_formula_or_as_somebody_wants(
    chooser: MergerChooser, fields: dict[str, Any], name: str
) -> None:
    assert chooser.files_of(merge(**fields)).name == name


def test_files_are_found_and_the_unused_are_not_looked_for(chooser: MergerChooser, tmp_path: Path) -> None:
    files = chooser.files_of(merge(bake_in_vae="mse.pt", loras=[{"name": "style.safetensors"}], tertiary_model_name=""))
    assert [Path(one.path).name for one in files.checkpoints] == ["a.safetensors", "b.ckpt"]
    assert files.vae == str(tmp_path / "VAE" / "mse.pt") and files.loras == (str(tmp_path / "Lora/style.safetensors"),)
    assert files.folder == str(tmp_path / "models")
    extraction = chooser.files_of(ExtractRequest(tuned="b", original="a"))
    assert extraction.folder == str(tmp_path / "Lora") and extraction.name == "sub_b - a"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"primary_model_name": ""}, "A, the primary model is not chosen"),
        ({"secondary_model_name": "zzz"}, "No checkpoint is called 'zzz'"),
        ({"interp_method": "Add difference", "tertiary_model_name": ""}, "C, the tertiary model is not chosen"),
        ({"bake_in_vae": "zzz"}, "No VAE is called 'zzz'"),
        ({"loras": [{"name": "zzz"}]}, "No LoRA is called 'zzz'"),
        ({"interp_method": "No interpolation"}, "a.safetensors is in .* already: choose another custom name"),
        *(
            ({"custom_name": name}, "is no file's name")
            for name in ("../x", "/etc/x", "a/b", "a\\b", "..", ".hidden", "nul", "x\x00", "a:b", "x.")
        ),
        ({"custom_name": "ü" * 150}, "longer than 200 bytes"),
    ],
)
def test_what_is_not_there_or_no_name_is_one_sentence(
    chooser: MergerChooser, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        chooser.checked(merge(**fields))
