"""Z-Image's files: what they are made of, what is wrong with some, and networks in all namings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.catalogue.architecture import read_architecture
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import SD1, Z_IMAGE
from modules.hardware.fp8_weights import store_in_8_bits
from modules.parameters.merger_request import MergeRequest
from modules.weights.checkpoint import empty_parts, load_checkpoint
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.loras import LoraToMerge
from modules.weights.merging.sources import SourceModel
from modules.weights.model import Model
from modules.weights.networks.merging import AppliedNetwork, NetworkMerger
from modules.weights.networks.reading import read_network
from modules.weights.networks.rotations import Rotation
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.z_image_files import (
    WIDTH,
    Layout,
    ZImageFiles,
    ZImageModules,
    make_qwen3,
    make_z_image,
    text_tensors,
    write_z_image,
    z_image_lora,
    z_image_tensors,
)


@cache
def modules() -> ZImageModules:
    return make_z_image()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> ZImageFiles:
    return write_z_image(tmp_path_factory.mktemp("z"), modules=modules())


def loaded(files: ZImageFiles, **more: Any) -> Model:
    return load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts, **more)


@pytest.mark.parametrize("layout", ["split", "all-in-one", "diffusers"])
def test_every_layout_holds_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    written = write_z_image(tmp_path, layout, modules=modules())
    model, own = loaded(written), modules()
    for found, wanted in ((model.unet, own.transformer), (model.vae, own.vae), (model.text_encoders[0], own.text)):
        theirs = dict(wanted.named_parameters())
        assert all(torch.equal(value, theirs[name]) for name, value in found.named_parameters())
        assert len(list(found.parameters())) == len(theirs)
    assert (model.family, model.predicts.kind, model.latent_channels, model.vae_factor) == (Z_IMAGE, "flow", 16, 8)
    parts = empty_parts(written.checkpoint, written.vae, written.texts)
    assert all(value.is_meta for value in parts.unet.parameters())
    architecture = read_architecture(written.checkpoint)
    assert architecture is not None and architecture.family is Z_IMAGE
    assert (architecture.has_text, architecture.has_vae) == ((layout == "all-in-one",) * 2)
    assert architecture.context_width == 32


def test_half_precision_is_taken_with_the_wider_range(files: ZImageFiles) -> None:
    model = loaded(files, dtype=torch.float16)
    parts = (model.unet, model.vae, model.text_encoders[0])
    assert {part.dtype for part in parts} == {torch.bfloat16}


def test_kinds_of_its_files(files: ZImageFiles) -> None:
    assert files.vae is not None and files.text is not None
    kinds = [classify_tensors(load_file(path)) for path in (files.checkpoint, files.vae, files.text)]
    assert kinds == [ModelKind.CHECKPOINT, ModelKind.VAE, ModelKind.TEXT_ENCODER]
    assert classify_tensors(z_image_lora()) is ModelKind.LORA


def broken(files: ZImageFiles, folder: Path, what: str) -> ZImageFiles:
    """A copy of the files with one thing wrong."""
    assert files.vae is not None and files.text is not None
    tensors = z_image_tensors(modules().transformer)
    other = replace(files, checkpoint=folder / "broken.safetensors")
    match what:
        case "no text encoder":
            return replace(files, text=None)
        case "no VAE":
            return replace(files, vae=None)
        case "VAE of 4 channels":
            return replace(files, vae=write_tiny_checkpoint(folder / "small.safetensors"))
        case "a text encoder of another width":
            save_file({k: v.contiguous() for k, v in text_tensors(make_qwen3(48)).items()}, folder / "wide.safetensors")
            return replace(files, text=folder / "wide.safetensors")
        case "no text encoder at all":
            return replace(files, text=files.vae)
        case "omni":
            tensors["siglip_embedder.0.weight"] = torch.zeros(4)
        case "a layer less":
            del tensors["layers.1.attention.qkv.weight"]
        case "NVFP4":
            tensors["layers.1.attention.qkv.weight_scale_2"] = torch.zeros(1)
        case "a scale less":
            tensors["scaled_fp8"] = torch.zeros(2)
            tensors["layers.1.attention.qkv.weight"] = tensors["layers.1.attention.qkv.weight"].to(torch.float8_e4m3fn)
        case "few words":
            held = {k: v.contiguous() for k, v in text_tensors(modules().text).items()}
            save_file(held | {"model.embed_tokens.weight": torch.zeros(1000, 32)}, folder / "few.safetensors")
            return replace(files, text=folder / "few.safetensors")
    save_file({name: value.contiguous() for name, value in tensors.items()}, other.checkpoint)
    return other


SAID = {
    "no text encoder": "has no text encoder inside",
    "no VAE": "has no VAE inside",
    "VAE of 4 channels": "works on 16 latent channels, the VAE has 4",
    "a text encoder of another width": "listens to 32 channels of text, and wide.safetensors speaks 48",
    "no text encoder at all": "has no text encoder inside",
    "omni": "is a Z-Image Omni model",
    "a layer less": "lacks 3 of the",
    "NVFP4": "are in NVFP4",
    "a scale less": "lacks the scale of layers.1.attention.qkv.weight",
    "few words": "knows 1000 words, and Qwen's vocabulary has 151669",
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_wrong_is_one_sentence(what: str, files: ZImageFiles, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as error:
        loaded(broken(files, tmp_path, what))
    assert SAID[what] in str(error.value) and "\n" not in str(error.value)


def test_two_text_encoders_of_one_kind_are_one_too_many(files: ZImageFiles, tmp_path: Path) -> None:
    assert files.text is not None
    again = tmp_path / "again.safetensors"
    again.write_bytes(files.text.read_bytes())
    with pytest.raises(CheckpointError, match="two text encoders of one kind"):
        load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=(files.text, again))


def lora(name: Callable[[str], str], fused: bool) -> dict[str, torch.Tensor]:
    """One change of the first layer's attention in a trainer's naming, query, key and value together or apart."""
    generator = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, WIDTH, generator=generator), torch.randn(3 * WIDTH, 2, generator=generator)
    parts = {"qkv": up} if fused else dict(zip(("to_q", "to_k", "to_v"), up.chunk(3), strict=True))
    made: dict[str, torch.Tensor] = {}
    for part, rows in parts.items():
        stem = name(f"layers.0.attention.{part}")
        down_name, up_name = (
            (".lora_down", ".lora_up") if "_" in stem[:6] and "." not in stem else (".lora_A", ".lora_B")
        )
        made |= {f"{stem}{down_name}.weight": down.clone(), f"{stem}{up_name}.weight": rows.contiguous()}
    return made


NAMINGS: dict[str, Callable[[str], str]] = {
    "ComfyUI": lambda path: f"diffusion_model.{path}",
    "diffusers": lambda path: f"transformer.{path}",
    "kohya": lambda path: "lora_unet_" + path.replace(".", "_"),
    "bare": lambda path: path,
    "PEFT": lambda path: f"base_model.model.{path}",
}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("naming", some(NAMINGS, 4))
def test_networks_of_every_naming_do_the_same(naming: str, fused: bool, files: ZImageFiles, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    save_file(lora(NAMINGS[naming], fused), path)
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"))
    applied = AppliedNetwork("ink", read_network(path), 1.0, 0.5)
    fit = merger.fit(applied)
    assert (fit.missing, fit.misshapen) == (0, 0) and fit.found
    merger.apply([applied])
    generator = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, WIDTH, generator=generator), torch.randn(3 * WIDTH, 2, generator=generator)
    for part, rows in zip("qkv", up.chunk(3), strict=True):
        name = f"layers.0.attention.to_{part}.weight"
        wanted = modules().transformer.get_parameter(name) + 0.5 * rows @ down
        torch.testing.assert_close(model.unet.get_parameter(name), wanted, atol=1e-5, rtol=1e-5)
    merger.restore()
    assert torch.equal(model.unet.get_parameter(name), modules().transformer.get_parameter(name))


def of_all_rows(weight: torch.Tensor) -> dict[str, tuple[dict[str, torch.Tensor], torch.Tensor]]:
    """Networks of query, key and value in one, whose rows depend on each other: tensors, and the weight with them."""
    generator = torch.Generator().manual_seed(2)
    up, down = torch.randn(len(weight), 2, generator=generator), torch.randn(2, weight.shape[1], generator=generator)
    length = 1 + torch.rand(1, weight.shape[1], generator=generator)
    changed = weight + up @ down
    blocks = 0.3 * torch.randn(1, len(weight), len(weight), generator=generator)
    skew, unit = blocks[0] - blocks[0].T, torch.eye(len(weight))
    return {
        "DoRA of columns": (
            {"lora_up.weight": up, "lora_down.weight": down, "dora_scale": length},
            changed * length / changed.norm(dim=0),
        ),
        "OFT": ({"oft_blocks": blocks}, ((unit + skew) @ torch.linalg.inv(unit - skew)).T @ weight),
    }


@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("kind", ["DoRA of columns", "OFT"])
def test_what_depends_on_all_rows_is_made_of_all_of_them(
    kind: str, room: bool, files: ZImageFiles, tmp_path: Path
) -> None:
    """Behind another network, which changes only a part of these rows, and whose weight then changes."""
    names = [f"layers.0.attention.to_{part}.weight" for part in "qkv"]
    plain = torch.cat([modules().transformer.get_parameter(name).data for name in names])
    first = {"lora_A.weight": torch.ones(1, WIDTH), "lora_B.weight": torch.ones(WIDTH, 1)}
    save_file(
        {f"transformer.layers.0.attention.to_q.{part}": value for part, value in first.items()},
        tmp_path / "a.safetensors",
    )
    before = AppliedNetwork("a", read_network(tmp_path / "a.safetensors"))
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"), make_room=lambda needed: room)
    for strength, live in ((0.2, False), (0.5, False), (0.5, True)):
        start = plain + torch.cat([torch.full((WIDTH, WIDTH), strength), torch.zeros(2 * WIDTH, WIDTH)])
        tensors, wanted = of_all_rows(start)[kind]
        stem = "lora_unet_layers_0_attention_qkv"
        save_file({f"{stem}.{part}": value for part, value in tensors.items()}, tmp_path / "b.safetensors")
        behind = AppliedNetwork(kind, read_network(tmp_path / "b.safetensors"))
        merger.apply([replace(before, unet=strength), behind], while_computing=live)
        assert merger.fit(behind).misshapen == 0
        if not live:
            found = torch.cat([model.unet.get_parameter(name).data for name in names])
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    merger.restore()
    assert torch.equal(torch.cat([model.unet.get_parameter(name).data for name in names]), plain)


@pytest.mark.parametrize("layout", ["all-in-one", "split"])
def test_networks_of_joined_rows_are_merged_into_a_checkpoint(layout: Layout, tmp_path: Path) -> None:
    written = write_z_image(tmp_path / layout, layout, modules=modules())
    file = LoraToMerge(tmp_path / "ink.safetensors", 0.5, 1.0)
    save_file(lora(NAMINGS["ComfyUI"], True), file.path)
    source = SourceModel(written.checkpoint, "z", None, None)
    request = MergeRequest(interp_method="No interpolation")
    target = MergeTarget(tmp_path, "with", "0123456789abcdef")
    path, notices = merge_checkpoints(request, [source], None, target, lambda share: None, [file])
    assert not notices
    merged = loaded(replace(written, checkpoint=path)).unet
    merger = NetworkMerger(model := loaded(written), torch.device("cpu"))
    merger.apply([AppliedNetwork("ink", read_network(file.path), 1.0, 0.5)])
    for part in "qkv":
        name = f"layers.0.attention.to_{part}.weight"
        torch.testing.assert_close(merged.get_parameter(name), model.unet.get_parameter(name), atol=1e-5, rtol=1e-5)
        assert not torch.equal(merged.get_parameter(name), modules().transformer.get_parameter(name))


@pytest.mark.parametrize("kind", ["DoRA of columns", "OFT"])
def test_what_depends_on_all_rows_is_merged_into_a_checkpoint_that_holds_them_apart(kind: str, tmp_path: Path) -> None:
    """Behind another network, which changes only a part of these rows."""
    written = write_z_image(tmp_path, "diffusers", modules=modules())
    names = [f"layers.0.attention.to_{part}.weight" for part in "qkv"]
    plain = torch.cat([modules().transformer.get_parameter(name).data for name in names])
    first = {"lora_A.weight": torch.ones(1, WIDTH), "lora_B.weight": torch.ones(WIDTH, 1)}
    path = tmp_path / "a.safetensors"
    save_file({f"transformer.layers.0.attention.to_q.{part}": value for part, value in first.items()}, path)
    start = plain + torch.cat([torch.full((WIDTH, WIDTH), 0.2), torch.zeros(2 * WIDTH, WIDTH)])
    tensors, wanted = of_all_rows(start)[kind]
    stem = "lora_unet_layers_0_attention_qkv"
    save_file({f"{stem}.{part}": value for part, value in tensors.items()}, tmp_path / "b.safetensors")
    loras = [LoraToMerge(path, 0.2, 1.0), LoraToMerge(tmp_path / "b.safetensors", 1.0, 1.0)]
    source = SourceModel(written.checkpoint, "z", None, None)
    request = MergeRequest(interp_method="No interpolation")
    target = MergeTarget(tmp_path, "with", "0123456789abcdef")
    merged, notices = merge_checkpoints(request, [source], None, target, lambda share: None, loras)
    assert not notices
    model = loaded(replace(written, checkpoint=merged))
    found = torch.cat([model.unet.get_parameter(name).data for name in names])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_networks_of_all_rows_behind_each_other_are_computed_a_few_times_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six of them: each made anew for every part of those behind it would be 3 + 9 + … + 729 = 1,092 rotations."""
    written, count = write_z_image(tmp_path, "diffusers", modules=modules()), 6
    name = "layers.0.attention.to_v.weight"
    wanted = torch.cat([modules().transformer.get_parameter(f"layers.0.attention.to_{part}.weight") for part in "qkv"])
    loras = []
    for number in range(count):
        tensors, wanted = of_all_rows(wanted)["OFT"]
        loras.append(LoraToMerge(tmp_path / f"{number}.safetensors", 1.0, 1.0))
        save_file({f"lora_unet_layers_0_attention_qkv.{part}": one for part, one in tensors.items()}, loras[-1].path)
    rotated: list[int] = []
    delta = Rotation.delta

    def counted(self: Rotation, weight: torch.Tensor, dyn: int | None = None) -> torch.Tensor:
        rotated.append(1)
        return delta(self, weight, dyn)

    monkeypatch.setattr(Rotation, "delta", counted)
    source, target = SourceModel(written.checkpoint, "z", None, None), MergeTarget(tmp_path, "with", "0123456789abcdef")
    request = MergeRequest(interp_method="No interpolation")
    path, notices = merge_checkpoints(request, [source], None, target, lambda share: None, loras)
    assert not notices
    in_file = loaded(replace(written, checkpoint=path)).unet.get_parameter(name)
    torch.testing.assert_close(in_file, wanted.chunk(3)[2], atol=1e-4, rtol=1e-4)
    assert len(rotated) < 200
    rotated.clear()
    model = loaded(written)
    merger = NetworkMerger(model, torch.device("cpu"))
    merger.apply([AppliedNetwork(number, read_network(lora.path)) for number, lora in enumerate(loras)])
    torch.testing.assert_close(model.unet.get_parameter(name), wanted.chunk(3)[2], atol=1e-4, rtol=1e-4)
    assert len(rotated) < 200


def test_originals_are_read_again_where_there_was_no_room_for_them(files: ZImageFiles, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    save_file(lora(NAMINGS["ComfyUI"], True) | {
        "text_encoders.qwen3_4b.transformer.model.layers.0.mlp.up_proj.lora_A.weight": torch.ones(1, 32),
        "text_encoders.qwen3_4b.transformer.model.layers.0.mlp.up_proj.lora_B.weight": torch.ones(64, 1),
    }, path)  # fmt: skip
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"), make_room=lambda needed: False)
    merger.apply([AppliedNetwork("ink", read_network(path))])
    changed = model.text_encoders[0].get_parameter("layers.0.mlp.up_proj.weight")
    wanted = modules().text.get_parameter("layers.0.mlp.up_proj.weight")
    torch.testing.assert_close(changed, wanted + 1)
    merger.restore()
    assert torch.equal(changed, wanted)


def test_a_network_of_another_family_is_known_by_its_shapes(tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    save_file(z_image_lora(), path)
    assert read_network(path).base == Z_IMAGE.name
    assert not SD1.takes_networks_for("Z-Image") and Z_IMAGE.takes_networks_for("Z-Image")


def test_weights_are_stored_in_8_bits_and_still_compute(files: ZImageFiles) -> None:
    model = loaded(files)
    x, texts = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.ones(9, 32)
    with torch.no_grad():
        exact = model.unet([x], torch.tensor([0.5]), [texts], return_dict=False)[0][0]
        assert store_in_8_bits(model.unet) > 0
        found = model.unet([x], torch.tensor([0.5]), [texts], return_dict=False)[0][0]
    assert 0 < float((found - exact).abs().mean() / exact.abs().mean()) < 0.2
