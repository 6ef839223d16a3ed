"""Flux.2 klein's files: what they are made of, what is wrong with some, and networks in all namings."""

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
from modules.families import FLUX2_KLEIN_4B, FLUX2_KLEIN_9B, Z_IMAGE
from modules.hardware.fp8_weights import store_in_8_bits
from modules.weights.checkpoint import check_heads, empty_parts, exchange_vae, load_checkpoint, load_vae
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.model import Model
from modules.weights.networks.merging import AppliedNetwork, NetworkMerger
from modules.weights.networks.reading import read_network
from tests.flux2_files import (
    TEXT_WIDTH,
    WIDTH,
    Flux2Files,
    Flux2Modules,
    Layout,
    flux2_lora,
    flux2_tensors,
    make_flux2,
    vae_tensors,
    write_flux2,
)
from tests.z_image_files import make_qwen3, text_tensors, write_z_image


@cache
def modules() -> Flux2Modules:
    return make_flux2()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Flux2Files:
    return write_flux2(tmp_path_factory.mktemp("flux2"), modules=modules())


def loaded(files: Flux2Files, **more: Any) -> Model:
    return load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts, **more)


@pytest.mark.parametrize("layout", ["split", "all-in-one", "diffusers"])
def test_every_layout_holds_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    """Of the text encoder's 30 layers the last two are not needed."""
    written = write_flux2(tmp_path, layout, modules=modules())
    model, own = loaded(written), modules()
    for found, wanted in ((model.unet, own.transformer), (model.vae, own.vae), (model.text_encoders[0], own.text)):
        theirs = {name: value for name, value in wanted.state_dict().items() if "batches" not in name}
        ours = {name: value for name, value in found.state_dict().items() if "batches" not in name}
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
        skipped = [name for name in theirs if name.startswith(("layers.28.", "layers.29."))]
        assert len(ours) == len(theirs) - len(skipped)
    assert (model.family, model.predicts.kind) == (FLUX2_KLEIN_4B, "flow")
    assert (model.latent_channels, model.vae_factor, model.context_dim) == (128, 16, 3 * TEXT_WIDTH)
    parts = empty_parts(written.checkpoint, written.vae, written.texts)
    assert all(value.is_meta for value in parts.unet.parameters())
    architecture = read_architecture(written.checkpoint)
    assert architecture is not None and architecture.family is FLUX2_KLEIN_4B
    assert (architecture.has_text, architecture.has_vae) == ((layout == "all-in-one",) * 2)
    assert (architecture.context_width, architecture.text_widths) == (3 * TEXT_WIDTH, (TEXT_WIDTH,))


def test_the_statistics_of_its_vae_are_weights(files: Flux2Files, tmp_path: Path) -> None:
    """They are buffers, which would be 0 and 1 without an error; in half precision they stay whole."""
    assert files.vae is not None
    model = loaded(files, dtype=torch.bfloat16)
    own: Any = modules().vae.bn
    torch.testing.assert_close(torch.tensor(model.latent_scaling.mean), own.running_mean)
    torch.testing.assert_close(torch.tensor(model.latent_scaling.std), (own.running_var + 1e-4).sqrt())
    other = tmp_path / "other.safetensors"
    save_file({k: v.clone() for k, v in load_file(files.vae).items()} | {"bn.running_mean": torch.ones(128)}, other)
    exchange_vae(model, load_vae(other, dtype=torch.bfloat16, family=model.family), other)
    assert model.latent_scaling.mean == (1.0,) * 128


def test_a_vae_with_a_small_decoder_is_read(tmp_path: Path) -> None:
    own = make_flux2(decoder=(32, 64, 64, 64))
    model = loaded(write_flux2(tmp_path, modules=own))
    assert all(torch.equal(value, own.vae.state_dict()[name]) for name, value in model.vae.named_parameters())


def test_the_depth_says_which_of_the_two_it_is(tmp_path: Path) -> None:
    nine = write_flux2(tmp_path, modules=make_flux2(blocks=6))
    assert loaded(nine).family is FLUX2_KLEIN_9B
    architecture = read_architecture(nine.checkpoint)
    assert architecture is not None and architecture.family.text_encoders[0].role == "qwen3_8b"
    assert FLUX2_KLEIN_9B.shares_latents_with(FLUX2_KLEIN_4B) and not FLUX2_KLEIN_4B.shares_latents_with(Z_IMAGE)


def test_half_precision_is_taken_with_the_wider_range(files: Flux2Files) -> None:
    model = loaded(files, dtype=torch.float16)
    assert {part.dtype for part in (model.unet, model.vae, model.text_encoders[0])} == {torch.bfloat16}


def test_kinds_of_its_files(files: Flux2Files) -> None:
    assert files.vae is not None and files.text is not None
    kinds = [classify_tensors(load_file(path)) for path in (files.checkpoint, files.vae, files.text)]
    assert kinds == [ModelKind.CHECKPOINT, ModelKind.VAE, ModelKind.TEXT_ENCODER]
    assert classify_tensors(flux2_lora()) is ModelKind.LORA
    assert classify_tensors(["double_stream_modulation_img.lin.lora_A.weight"]) is ModelKind.LORA
    assert classify_tensors(["double_blocks.0.img_attn.qkv.weight", "img_in.weight"]) is ModelKind.FLUX


def broken(files: Flux2Files, folder: Path, what: str) -> Flux2Files:
    """A copy of the files with one thing wrong."""
    assert files.vae is not None and files.text is not None
    tensors = flux2_tensors(modules().transformer)
    other = replace(files, checkpoint=folder / "broken.safetensors")
    match what:
        case "no text encoder":
            return replace(files, text=None)
        case "no VAE":
            return replace(files, vae=None)
        case "Flux.1's VAE":
            return replace(files, vae=write_z_image(folder).vae)
        case "no statistics":
            plain = {
                name: value.contiguous() for name, value in vae_tensors(modules().vae).items() if "bn." not in name
            }
            save_file(plain, folder / "plain.safetensors")
            return replace(files, vae=folder / "plain.safetensors")
        case "a text encoder of another width":
            wide = text_tensors(make_qwen3(48, layers=30))
            save_file({k: v.contiguous() for k, v in wide.items()}, folder / "wide.safetensors")
            return replace(files, text=folder / "wide.safetensors")
        case "a text encoder of few layers":
            few = text_tensors(make_qwen3(TEXT_WIDTH))
            save_file({k: v.contiguous() for k, v in few.items()}, folder / "few.safetensors")
            return replace(files, text=folder / "few.safetensors")
        case "dev":
            tensors["guidance_in.in_layer.weight"] = torch.zeros(64, 256)
        case "a layer less":
            del tensors["double_blocks.1.txt_attn.qkv.weight"]
        case "no blocks":
            tensors = {name: value for name, value in tensors.items() if "single_blocks" not in name}
    save_file({name: value.contiguous() for name, value in tensors.items()}, other.checkpoint)
    return other


SAID = {
    "no text encoder": "has no text encoder inside",
    "no VAE": "has no VAE inside",
    "Flux.1's VAE": "is no VAE of Flux.2 klein 4B, since it lacks bn.running_mean",
    "no statistics": "choose another, as flux2-vae.safetensors",
    "a text encoder of another width": "listens to 48 channels of text, and wide.safetensors speaks 144",
    "a text encoder of few layers": "has 3 layers, and its hidden states up to layer 28 are needed",
    "dev": "is a Flux.2 dev model",
    "a layer less": "lacks 3 of the",
    "no blocks": "The transformer has no single_blocks.0.linear2.weight",
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_wrong_is_one_sentence(what: str, files: Flux2Files, tmp_path: Path) -> None:
    """Said by the heads of the files where they say it."""
    wrong = broken(files, tmp_path, what)
    with pytest.raises(CheckpointError) as error:
        if what == "a layer less":
            loaded(wrong)
        check_heads(wrong.checkpoint, wrong.vae, wrong.texts)
    assert SAID[what] in str(error.value) and "\n" not in str(error.value)


def test_its_vae_is_none_for_others(files: Flux2Files, tmp_path: Path) -> None:
    z_image = write_z_image(tmp_path)
    with pytest.raises(CheckpointError, match=r"is Flux.2's VAE, which Z-Image can't use"):
        check_heads(z_image.checkpoint, files.vae, z_image.texts)


def test_weights_in_8_bits_with_scales_are_what_they_stand_for(tmp_path: Path) -> None:
    """A third of a matrix has the scale of the whole."""
    plain, scaled = (
        loaded(write_flux2(tmp_path / str(eight), modules=modules(), scaled_fp8=eight)) for eight in (False, True)
    )
    wanted = dict(plain.unet.named_parameters())
    for name, found in scaled.unet.named_parameters():
        error = float((found - wanted[name]).abs().max() / wanted[name].abs().max())
        assert error < 0.07 if "_blocks." in name and found.ndim == 2 else error == 0, name


def lora(name: Callable[[str], str], fused: bool) -> dict[str, torch.Tensor]:
    """One change of the first block's attention in a trainer's naming, as the original has it or as diffusers does."""
    generator = torch.Generator().manual_seed(1)
    down, up = torch.randn(2, WIDTH, generator=generator), torch.randn(3 * WIDTH, 2, generator=generator)
    block = "double_blocks.0.img_attn" if fused else "transformer_blocks.0.attn"
    parts = {"qkv": up} if fused else dict(zip(("to_q", "to_k", "to_v"), up.chunk(3), strict=True))
    made: dict[str, torch.Tensor] = {}
    for part, rows in parts.items():
        stem = name(f"{block}.{part}")
        halves = ("lora_down", "lora_up") if "." not in stem else ("lora_A", "lora_B")
        made |= {f"{stem}.{halves[0]}.weight": down.clone(), f"{stem}.{halves[1]}.weight": rows.contiguous()}
    return made


NAMINGS: dict[str, Callable[[str], str]] = {
    "ComfyUI": lambda path: f"diffusion_model.{path}",
    "diffusers": lambda path: f"transformer.{path}",
    "kohya": lambda path: "lora_unet_" + path.replace(".", "_"),
    "bare": lambda path: path,
    "PEFT": lambda path: f"base_model.model.{path}",
}


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("naming", NAMINGS)
def test_networks_of_every_naming_do_the_same(naming: str, fused: bool, files: Flux2Files, tmp_path: Path) -> None:
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
        name = f"transformer_blocks.0.attn.to_{part}.weight"
        wanted = modules().transformer.get_parameter(name) + 0.5 * rows @ down
        torch.testing.assert_close(model.unet.get_parameter(name), wanted, atol=1e-5, rtol=1e-5)
    merger.restore()
    assert torch.equal(model.unet.get_parameter(name), modules().transformer.get_parameter(name))


def test_a_network_on_what_diffusers_has_the_other_way_round(files: Flux2Files, tmp_path: Path) -> None:
    """Shift before scale in the file, scale before shift in the module."""
    path = tmp_path / "ink.safetensors"
    down, up = torch.randn(2, WIDTH), torch.randn(2 * WIDTH, 2)
    layer = "diffusion_model.final_layer.adaLN_modulation.1"
    save_file({f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}, path)
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"))
    merger.apply([AppliedNetwork("ink", read_network(path))])
    wanted = modules().transformer.get_parameter("norm_out.linear.weight") + (up @ down).roll(WIDTH, 0)
    torch.testing.assert_close(model.unet.get_parameter("norm_out.linear.weight"), wanted, atol=1e-4, rtol=1e-4)


def test_originals_are_read_again_where_there_was_no_room_for_them(files: Flux2Files, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    save_file(flux2_lora(), path)
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"), make_room=lambda needed: False)
    merger.apply([AppliedNetwork("ink", read_network(path))])
    name = "single_transformer_blocks.1.attn.to_qkv_mlp_proj.weight"
    wanted = modules().transformer.get_parameter(name)
    assert not torch.equal(model.unet.get_parameter(name), wanted)
    merger.restore()
    assert torch.equal(model.unet.get_parameter(name), wanted)


def test_a_network_of_another_family_is_known_by_its_shapes(tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    save_file(flux2_lora(), path)
    assert read_network(path).base == FLUX2_KLEIN_4B.name
    assert FLUX2_KLEIN_4B.takes_networks_for("Flux.2 klein 4B") and not FLUX2_KLEIN_9B.takes_networks_for("Flux")


def test_weights_are_stored_in_8_bits_and_still_compute(files: Flux2Files) -> None:
    model = loaded(files)
    given = {
        "hidden_states": torch.randn(1, 16, 128, generator=torch.Generator().manual_seed(0)),
        "timestep": torch.tensor([0.5]), "encoder_hidden_states": torch.ones(1, 9, 3 * TEXT_WIDTH),
        "img_ids": torch.zeros(16, 4), "txt_ids": torch.zeros(9, 4), "return_dict": False,
    }  # fmt: skip
    with torch.no_grad():
        exact = model.unet(**given)[0]
        assert store_in_8_bits(model.unet) > 0
        found = model.unet(**given)[0]
    assert 0 < float((found - exact).abs().mean() / exact.abs().mean()) < 0.2
