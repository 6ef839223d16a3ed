"""One LoRA in every spelling of its names changes the same modules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from modules.families import SDXL, Family
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from modules.weights.networks.reading import read_network
from modules.weights.networks.targets import network_targets
from tests.amounts import some
from tests.checkpoints import TINY_REFINER, TINY_SD2, TINY_SDXL, Architecture, write_tensors, write_tiny_checkpoint

TOYS = {one.family.name: replace(one, vocabulary=512) for one in (Architecture(), TINY_SD2, TINY_SDXL, TINY_REFINER)}

# Modules of a UNet with two levels of one layer each, by where they are in the original layout.
PLACES = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "down_blocks.0.resnets.0.time_emb_proj": "input_blocks.1.0.emb_layers.1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.attentions.0.proj_in": "input_blocks.3.1.proj_in",
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q": "input_blocks.3.1.transformer_blocks.0.attn1.to_q",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k": "middle_block.1.transformer_blocks.0.attn2.to_k",
    "up_blocks.0.attentions.1.transformer_blocks.0.attn2.to_out.0":
        "output_blocks.1.1.transformer_blocks.0.attn2.to_out.0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0.norm1": "output_blocks.2.0.in_layers.0",
    "conv_out": "out.2",
}  # fmt: skip
KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.weight", ".lora_B.weight")
# How a UNet's layer is spelled: what stands in front, whether by the original layout, whether flattened; and the parts.
SPELLINGS = {
    "kohya, diffusers' names": ("lora_unet_", False, True, KOHYA),
    "kohya, original names": ("lora_unet_", True, True, KOHYA),
    "LyCORIS of SimpleTuner": ("lycoris_", False, True, KOHYA),
    "kohya OFT": ("oft_unet_", False, True, KOHYA),
    "kohya OFT, original names": ("oft_unet_", True, True, KOHYA),
    "PEFT of diffusers": ("unet.", False, False, PEFT),
    "PEFT, adapter named": ("unet.", False, False, (".lora_A.default.weight", ".lora_B.default.weight")),
    "PEFT, bare parts": ("unet.", False, False, (".lora_A", ".lora_B")),
    "diffusers": ("unet.", False, False, (".lora.down.weight", ".lora.up.weight")),
    "diffusers' layers": ("unet.", False, False, (".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight")),
    "bare": ("", False, False, PEFT),
    "bare original": ("", True, False, PEFT),
    "raw PEFT": ("base_model.model.", False, False, PEFT),
    "raw PEFT of a UNet": ("unet.base_model.model.", False, False, PEFT),
    "ComfyUI": ("diffusion_model.", True, False, PEFT),
}


@cache
def toy(name: str, folder: Path) -> Model:
    return load_checkpoint(write_tiny_checkpoint(folder / f"{name}.safetensors", architecture=TOYS[name], seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toys")


def paths_hit(path: Path, model: Model, parts: tuple[str, str], layers: list[str]) -> list[str]:
    """Of the layers of a LoRA file, written with these names: the paths of the modules that they mean."""
    down, up = parts
    tensors = {f"{layer}{part}": torch.ones(2, 2) for layer in layers for part in (down, up)}
    network = read_network(write_tensors(path, tensors, {}))
    targets = network_targets(model)
    assert network.layers.keys() == set(layers)
    assert all(layer.weight is not None and len(layer.weight.tensors) == 2 for layer in network.layers.values())
    return [targets[layer].path for layer in layers]


@pytest.mark.parametrize("spelling", some(SPELLINGS, 6))
def test_every_spelling_means_the_same_modules_of_the_unet(tmp_path: Path, folder: Path, spelling: str) -> None:
    prefix, original, flattened, parts = SPELLINGS[spelling]
    names = list(PLACES.values() if original else PLACES)
    layers = [prefix + (name.replace(".", "_") if flattened else name) for name in names]
    model = toy("SD1", folder)
    hit = paths_hit(tmp_path / "n.safetensors", model, parts, layers)
    assert hit == [f"unet.{path}" for path in PLACES]
    for path in PLACES:
        target = network_targets(model)[path]
        assert target.module is model.unet.get_submodule(path) and not target.text_encoder


@pytest.mark.parametrize("prefix", ["", "unet."])
def test_attention_processors_of_old_diffusers(tmp_path: Path, folder: Path, prefix: str) -> None:
    block = "mid_block.attentions.0.transformer_blocks.0.attn2"
    layers = [f"{prefix}{block}.processor.{name}" for name in ("to_q", "to_k", "to_v", "to_out")]
    hit = paths_hit(tmp_path / "n.safetensors", toy("SD1", folder), ("_lora.down.weight", "_lora.up.weight"), layers)
    assert hit == [f"unet.{block}.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0")]


TEXT = ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")
_WITH_PROJECTION = "text_model.encoder.layers.1"


@pytest.mark.parametrize(
    ("family", "prefix", "place"),
    [
        ("SD1", "lora_te_", "text_encoders.0.encoder.layers.1"),
        ("SD2", "lora_te_", "text_encoders.0.encoder.layers.1"),
        ("SDXL", "lora_te1_", "text_encoders.0.encoder.layers.1"),
        ("SDXL", "lora_te2_", f"text_encoders.1.{_WITH_PROJECTION}"),
        ("SDXL refiner", "lora_te2_", f"text_encoders.0.{_WITH_PROJECTION}"),
        ("SD1", "text_encoder.", "text_encoders.0.encoder.layers.1"),
        ("SDXL", "text_encoder.", "text_encoders.0.encoder.layers.1"),
        ("SDXL", "text_encoder_2.", f"text_encoders.1.{_WITH_PROJECTION}"),
        ("SDXL", "text_encoders.clip_g.transformer.", f"text_encoders.1.{_WITH_PROJECTION}"),
        ("SD2", "text_encoder.base_model.model.", "text_encoders.0.encoder.layers.1"),
    ],
)
def test_text_encoders_are_found_by_the_prefixes_of_their_family(
    tmp_path: Path, folder: Path, family: str, prefix: str, place: str
) -> None:
    names = [f"text_model.encoder.layers.1.{name}" for name in TEXT]
    layers = [prefix + (name.replace(".", "_") if prefix.startswith("lora") else name) for name in names]
    model = toy(family, folder)
    hit = paths_hit(tmp_path / "n.safetensors", model, KOHYA, layers)
    assert hit == [f"{place}.{name}" for name in TEXT]
    index, rest = int(place.split(".")[1]), place.split(".", 2)[2]
    target = network_targets(model)[layers[0]]
    assert target.module is model.text_encoders[index].get_submodule(f"{rest}.self_attn.q_proj") and target.text_encoder


def test_attention_of_text_encoders_in_old_diffusers(tmp_path: Path, folder: Path) -> None:
    place = "encoder.layers.0.self_attn"
    layers = [f"text_encoder.text_model.{place}.{name}" for name in ("to_q", "to_k", "to_v", "to_out")]
    hit = paths_hit(tmp_path / "n.safetensors", toy("SD1", folder), ("_lora.down.weight", "_lora.up.weight"), layers)
    assert hit == [f"text_encoders.0.{place}.{name}" for name in ("q_proj", "k_proj", "v_proj", "out_proj")]


def test_the_projection_of_the_second_encoder(folder: Path) -> None:
    targets = network_targets(toy("SDXL", folder))
    assert targets["lora_te2_text_projection"].path == "text_encoders.1.text_projection"
    assert targets["lora_te2_text_model_final_layer_norm"].path == "text_encoders.1.text_model.final_layer_norm"


@pytest.mark.parametrize("name", TOYS)
def test_each_module_has_a_spelling_of_its_own(folder: Path, name: str) -> None:
    """Both flattened names mean one module, and every module that has a weight to change is meant by some."""
    model = toy(name, folder)
    targets = network_targets(model)
    kinds = (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
    roots = {"unet": model.unet, **{f"text_encoders.{i}": one for i, one in enumerate(model.text_encoders)}}
    wanted = {
        f"{root}.{path}"
        for root, module in roots.items()
        for path, one in module.named_modules()
        if isinstance(one, kinds)
    }
    assert {target.path for target in targets.values()} == wanted
    kohya: dict[str, set[str]] = {}
    for spelling, target in targets.items():
        if spelling.startswith("lora_unet_"):
            kohya.setdefault(target.path, set()).add(spelling)
    assert len(kohya) == len({spelling for names in kohya.values() for spelling in names}) // 2


def test_upsamplers_stand_behind_the_attention_of_their_level(folder: Path) -> None:
    """In SDXL the finest level has none; A1111 looks for all upsamplers of the first level in front of it."""
    targets = network_targets(toy("SDXL", folder))
    assert targets["lora_unet_output_blocks_1_2_conv"].path == "unet.up_blocks.0.upsamplers.0.conv"


def test_families_do_not_share_prefixes_of_two_encoders() -> None:
    families: list[Family] = [one.family for one in TOYS.values()]
    for family in families:
        prefixes = [prefix for facts in family.text_encoders for prefix in facts.network_prefixes]
        assert len(prefixes) == len(set(prefixes)) > 0
    assert SDXL in families
