"""Control models: what was written into a file, in any naming, answers as the module it was made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from torch import nn

from modules.catalogue import ModelFileError
from modules.catalogue.control_kinds import ControlKind
from modules.weights.control.reading import ControlModel, read_control_model
from tests.amounts import some
from tests.checkpoints import Architecture, Tensors, make_modules, original_tensors, truncate, write_tiny_checkpoint
from tests.control_models import (
    HINTS,
    SDXL_MID,
    SDXL_SMALL,
    SMALL,
    SMALL_SD2,
    SMALL_SDXL,
    Naming,
    controlnet_tensors,
    full_original_names,
    light_original_names,
    make_adapter,
    make_controlnet,
    make_union,
    original_controlnet_tensors,
    write_control,
)

ARCHITECTURES = {"SD1": SMALL, "SD2": SMALL_SD2, "SDXL": SMALL_SDXL, "SDXL mid": SDXL_MID, "SDXL small": SDXL_SMALL}
NO_CHECKPOINT = Path("no checkpoint is needed.safetensors")


def read(path: Path, checkpoint: Path = NO_CHECKPOINT) -> ControlModel:
    return read_control_model(path, checkpoint=checkpoint, dtype=torch.float32)


def inputs(a: Architecture, rows: int = 2) -> dict[str, object]:
    generator = torch.Generator().manual_seed(1)
    given: dict[str, object] = {
        "sample": torch.randn(rows, 4, 8, 8, generator=generator),
        "timestep": torch.full((rows,), 431.5),
        "encoder_hidden_states": torch.randn(rows, 9, sum(a.text_widths), generator=generator),
        "return_dict": False,
    }
    if a.family.added_numbers:
        given["added_cond_kwargs"] = {
            "text_embeds": torch.randn(rows, a.text_widths[-1], generator=generator),
            "time_ids": torch.arange(6.0 * rows).reshape(rows, 6),
        }
    return given


def picture(rows: int = 2, colours: int = 3) -> torch.Tensor:
    return torch.rand(rows, colours, 64, 64, generator=torch.Generator().manual_seed(2))


def same_answers(made: nn.Module, expected: nn.Module, **given: object) -> None:
    with torch.no_grad():
        answers: list[tuple[torch.Tensor, ...]] = [
            (*skips, middle) for skips, middle in (made(**given), expected(**given))
        ]
    for one, other in zip(*answers, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("naming", ["control_model", "bare", "diffusers"])
@pytest.mark.parametrize("name", some(ARCHITECTURES, 5))
def test_a_controlnet_in_every_naming_answers_as_diffusers(tmp_path: Path, name: str, naming: Naming) -> None:
    a = ARCHITECTURES[name]
    module = make_controlnet(a)
    suffix = ".pth" if naming == "control_model" else ".safetensors"
    found = read(write_control(tmp_path / f"some{suffix}", controlnet_tensors(module, a, naming), a))
    assert (found.kind, found.family) == (ControlKind.CONTROLNET, name.split()[0])
    assert found.size == sum(parameter.nbytes for parameter in module.parameters())
    same_answers(found.module, module, **inputs(a), controlnet_cond=picture())


@pytest.mark.parametrize("name", ["SD1", "SDXL"])
def test_the_original_names_are_those_that_diffusers_converts(name: str) -> None:
    a = ARCHITECTURES[name]
    module = make_controlnet(a)
    convert: Any = convert_controlnet_checkpoint
    back = convert(original_controlnet_tensors(module, a), {"layers_per_block": a.unet_layers})
    # It leaves out what SDXL takes beside the text.
    own = {name: value for name, value in module.state_dict().items() if not name.startswith("add_embedding.")}
    assert back.keys() == own.keys()
    assert all(torch.equal(back[key], own[key]) for key in own)


@pytest.mark.parametrize("types", [6, 8])
def test_a_union_answers_as_diffusers(tmp_path: Path, types: int) -> None:
    module = make_union(types)
    found = read(write_control(tmp_path / "promax.safetensors", dict(module.state_dict()), SMALL_SDXL))
    assert (found.kind, found.family) == (ControlKind.UNION, "SDXL")
    wanted = torch.zeros(2, types)
    wanted[:, 3] = 1
    more = {"controlnet_cond": [picture()], "control_type": wanted, "control_type_idx": [3]}
    same_answers(found.module, module, **inputs(SMALL_SDXL), **more)


@pytest.mark.parametrize("inpainting", [False, True])
def test_differences_are_added_to_the_checkpoints_encoder(tmp_path: Path, inpainting: bool) -> None:
    module, a = make_controlnet(), replace(SMALL, in_channels=9 if inpainting else 4)
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors", architecture=a, dtype="fp32")
    base = original_tensors(make_modules(a), vae=False, family=a.family)
    tensors: Tensors = {"difference": torch.zeros(1)}
    for name, value in original_controlnet_tensors(module).items():
        theirs = base.get(f"model.diffusion_model.{name}")
        tensors[f"control_model.{name}"] = (
            value
            if theirs is None
            else value - theirs[:, :4]
            if (name == "input_blocks.0.0.weight")
            else value - theirs
        )
    found = read(write_control(tmp_path / "difference.safetensors", tensors), checkpoint)
    assert found.checkpoint == checkpoint
    same_answers(found.module, module, **inputs(SMALL), controlnet_cond=picture())


def lora_of(a: Architecture, rank: int = 3) -> tuple[Tensors, nn.Module]:
    """A Control-LoRA's tensors, and the ControlNet that it makes with `make_modules(a)`'s UNet."""
    generator = torch.Generator().manual_seed(5)
    module = make_controlnet(a)
    base = original_tensors(make_modules(a), vae=False, family=a.family)
    tensors: Tensors = {"lora_controlnet": torch.zeros(1)}
    whole: Tensors = {}
    for name, value in original_controlnet_tensors(module, a).items():
        theirs = base.get(f"model.diffusion_model.{name}")
        if theirs is None:
            tensors[name] = whole[name] = value
        elif value.ndim == 1:
            whole[name] = theirs
            if "norm" in name:
                tensors[name] = whole[name] = value + 0.5
        else:
            up = torch.randn(value.shape[0], rank, *(1,) * (value.ndim - 2), generator=generator) * 0.1
            down = torch.randn(rank, *value.shape[1:], generator=generator) * 0.1
            stem = name.removesuffix(".weight")
            tensors |= {f"{stem}.up": up, f"{stem}.down": down}
            whole[name] = theirs + (up.flatten(1) @ down.flatten(1)).reshape(value.shape)
    names = dict(zip(original_controlnet_tensors(module, a), module.state_dict(), strict=True))
    module.load_state_dict({names[name]: value for name, value in whole.items()})
    return tensors, module


@pytest.mark.parametrize("name", ["SD1", "SDXL"])
def test_a_control_lora_is_added_to_the_checkpoints_encoder(tmp_path: Path, name: str) -> None:
    a = ARCHITECTURES[name]
    tensors, module = lora_of(a)
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors", architecture=a, dtype="fp32")
    found = read(write_control(tmp_path / "lora.safetensors", tensors, a), checkpoint)
    assert (found.kind, found.family, found.checkpoint) == (ControlKind.CONTROL_LORA, name, checkpoint)
    same_answers(found.module, module, **inputs(a), controlnet_cond=picture())


@pytest.mark.parametrize("original", [False, True])
@pytest.mark.parametrize(
    ("kind", "colours"), [("full_adapter", 1), ("full_adapter", 3), ("full_adapter_xl", 3), ("light_adapter", 3)]
)
def test_an_adapter_in_both_namings_answers_as_diffusers(
    tmp_path: Path, kind: str, colours: int, original: bool
) -> None:
    module = make_adapter(kind, colours)
    renamed = light_original_names if kind == "light_adapter" else full_original_names
    tensors = renamed(module) if original else dict(module.state_dict())
    found = read(write_control(tmp_path / "t2iadapter.pth", tensors))
    assert (found.kind, found.family) == (ControlKind.T2I_ADAPTER, "SDXL" if kind.endswith("xl") else "SD1")
    with torch.no_grad():
        made, expected = found.module(picture(1, colours)), module(picture(1, colours))
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def spoiled(what: str, tmp_path: Path) -> Path:
    """A file with a fault."""
    tensors = controlnet_tensors(make_controlnet())
    path = tmp_path / "faulty.safetensors"
    match what:
        case "NaN":
            tensors["zero_convs.2.0.weight"] = tensors["zero_convs.2.0.weight"] * float("nan")
        case "missing":
            del tensors["middle_block_out.0.weight"]
        case "misshapen":
            tensors["zero_convs.1.0.weight"] = torch.zeros(31, 32, 1, 1)
        case "no hint":
            tensors = {name: value for name, value in tensors.items() if not name.startswith("input_hint_block.2")}
            tensors = {name: value for name, value in tensors.items() if "input_hint_block.4" not in name}
        case "truncated":
            return truncate(write_control(path, tensors), 0.5)
        case "TorchScript":
            path = tmp_path / "faulty.pth"
            torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))
            return path
    return write_control(path, tensors)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("NaN", "faulty.safetensors is broken: zero_convs.2.0.weight holds NaN or infinity."),
        ("missing", "lacks 1 of the"),
        ("misshapen", "zero_convs.1.0.weight has the shape"),
        ("no hint", "lacks 4 of the"),
        ("truncated", "faulty.safetensors"),
        ("TorchScript", "faulty.pth was refused: it is a TorchScript program"),
    ],
)
def test_a_faulty_file_is_refused_in_one_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    with pytest.raises(ModelFileError) as refused:
        read(spoiled(what, tmp_path))
    assert sentence in str(refused.value)


def test_differences_from_another_checkpoint_are_refused(tmp_path: Path) -> None:
    wider = write_tiny_checkpoint(tmp_path / "wider.safetensors", architecture=replace(SMALL, text_hidden=96))
    tensors = controlnet_tensors(make_controlnet()) | {"difference": torch.zeros(1)}
    with pytest.raises(ModelFileError, match=r"made for a checkpoint of other shapes than wider\.safetensors"):
        read(write_control(tmp_path / "difference.safetensors", tensors), wider)
    lora, _ = lora_of(SMALL)
    with pytest.raises(ModelFileError, match=r"made for a checkpoint of other shapes than wider\.safetensors"):
        read(write_control(tmp_path / "lora.safetensors", lora), wider)


def test_the_hint_layers_are_those_of_a_published_one() -> None:
    names = original_controlnet_tensors(make_controlnet())
    indexes = sorted({int(name.split(".")[1]) for name in names if name.startswith("input_hint_block.")})
    assert indexes == list(range(0, 15, 2)), HINTS
