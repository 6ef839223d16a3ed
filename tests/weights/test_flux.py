"""Flux.1's files: what they are made of, what is wrong with some, and networks in all namings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers.models.t5.configuration_t5 import T5Config
from transformers.models.t5.modeling_t5 import T5EncoderModel, T5Stack

from modules.catalogue.architecture import read_architecture
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.model_parts import PartFacts, read_part
from modules.families import FLUX2_KLEIN_4B, FLUX_DEV, FLUX_SCHNELL
from modules.hardware.fp8_weights import store_in_8_bits
from modules.weights.checkpoint import check_heads, empty_parts, load_checkpoint
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.flux import flux_original, infer_flux
from modules.weights.merging.loras import LoraToMerge, lora_merger
from modules.weights.model import Model
from modules.weights.networks.merging import AppliedNetwork, NetworkMerger
from modules.weights.networks.reading import read_network
from modules.weights.t5_shapes import infer_t5, t5_source
from modules.weights.tensor_file import open_tensors
from tests.amounts import some
from tests.flux2_files import write_flux2
from tests.flux_files import (
    POOLED_WIDTH,
    TEXT_WIDTH,
    WIDTH,
    FluxFiles,
    FluxModules,
    Layout,
    clip_tensors,
    flux_lora,
    flux_tensors,
    make_flux,
    t5_tensors,
    write_flux,
)


@cache
def modules() -> FluxModules:
    return make_flux()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> FluxFiles:
    return write_flux(tmp_path_factory.mktemp("flux"), modules=modules())


def loaded(files: FluxFiles, **more: Any) -> Model:
    return load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts, **more)


def saved(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, path, metadata)
    return path


@pytest.mark.parametrize("layout", ["split", "all-in-one", "diffusers"])
def test_every_layout_holds_the_same_weights(layout: Layout, tmp_path: Path) -> None:
    """Each parameter is some rows of some tensor; words that T5 shares with its decoder lie in the file once."""
    written = write_flux(tmp_path, layout, modules=modules())
    model, own = loaded(written), modules()
    clip, t5 = model.text_encoders
    for found, wanted in ((model.unet, own.transformer), (model.vae, own.vae), (clip, own.clip), (t5, own.t5.encoder)):
        theirs = dict(wanted.named_parameters())
        ours = dict(found.named_parameters())
        assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert (model.family, model.predicts.kind) == (FLUX_DEV, "flow")
    assert (model.latent_channels, model.vae_factor, model.context_dim) == (16, 8, TEXT_WIDTH)
    parts = empty_parts(written.checkpoint, written.vae, written.texts)
    assert all(value.is_meta for value in parts.unet.parameters())
    architecture = read_architecture(written.checkpoint)
    assert architecture is not None and architecture.family is FLUX_DEV
    assert (architecture.has_text, architecture.has_vae) == ((layout == "all-in-one",) * 2)
    assert (architecture.context_width, architecture.text_widths) == (TEXT_WIDTH, (POOLED_WIDTH, TEXT_WIDTH))


def test_norms_that_a_repack_calls_weights_are_found(files: FluxFiles, tmp_path: Path) -> None:
    tensors = {
        name.replace("_norm.scale", "_norm.weight"): value for name, value in load_file(files.checkpoint).items()
    }
    model = loaded(replace(files, checkpoint=saved(tensors, tmp_path / "repack.safetensors")))
    assert model.family is FLUX_DEV
    for name, value in model.unet.named_parameters():
        assert torch.equal(value, modules().transformer.get_parameter(name))


def test_half_precision_is_taken_with_the_wider_range(files: FluxFiles) -> None:
    model = loaded(files, dtype=torch.float16)
    assert {part.dtype for part in (model.unet, model.vae, *model.text_encoders)} == {torch.bfloat16}


def test_kinds_of_its_files(files: FluxFiles) -> None:
    assert files.vae is not None
    kinds = [classify_tensors(load_file(path)) for path in (files.checkpoint, files.vae, *files.texts)]
    assert kinds == [ModelKind.CHECKPOINT, ModelKind.VAE, ModelKind.TEXT_ENCODER, ModelKind.TEXT_ENCODER]
    assert [read_part(path) for path in files.texts] == [
        PartFacts(layout="transformers", width=POOLED_WIDTH), PartFacts(layout="t5", width=TEXT_WIDTH),
    ]  # fmt: skip
    assert classify_tensors(flux_lora()) is ModelKind.LORA
    blocks = list(flux_tensors(modules().transformer))
    assert classify_tensors([*blocks, "controlnet_blocks.0.weight"]) is ModelKind.CONTROLNET
    assert classify_tensors([*modules().transformer.state_dict(), "controlnet_x_embedder.bias"]) is ModelKind.CONTROLNET
    assert classify_tensors(["double_blocks.0.img_attn.norm.key_norm.w_norm"]) is ModelKind.LORA


def broken(files: FluxFiles, folder: Path, what: str) -> FluxFiles:
    """A copy of the files with one thing wrong."""
    tensors, metadata = flux_tensors(modules().transformer), dict[str, str]()
    clip, t5 = files.texts
    match what:
        case "no text encoders":
            return replace(files, texts=())
        case "no T5":
            return replace(files, texts=(clip,))
        case "no VAE":
            return replace(files, vae=None)
        case "Flux.2's VAE":
            return replace(files, vae=write_flux2(folder).vae)
        case "T5 twice":
            return replace(files, texts=(clip, t5, saved(load_file(t5), folder / "second.safetensors")))
        case "UMT5":
            other = t5_tensors(modules().t5) | {"shared.weight": torch.zeros(70_000, TEXT_WIDTH)}
            return replace(files, texts=(clip, saved(other, folder / "umt5.safetensors")))
        case "a CLIP of another width":
            wide = {
                name: torch.cat([value, value], -1) if "token_embedding" in name else value
                for name, value in clip_tensors(modules().clip).items()
            }
            return replace(files, texts=(saved(wide, folder / "clip_g.safetensors"), t5))
        case "a T5 of another width":
            return replace(files, texts=(clip, saved(t5_tensors(t5_of(24)), folder / "small.safetensors")))
        case "Fill" | "Depth":
            tensors["img_in.weight"] = torch.zeros(WIDTH, 384 if what == "Fill" else 128)
        case "Chroma":
            tensors["distilled_guidance_layer.in_proj.weight"] = torch.zeros(8, 8)
        case "Kontext":
            metadata["modelspec.architecture"] = "flux-1-kontext-dev"
        case "a layer less":
            del tensors["double_blocks.1.txt_attn.qkv.weight"]
        case "no blocks":
            tensors = {name: value for name, value in tensors.items() if "single_blocks" not in name}
    return replace(files, checkpoint=saved(tensors, folder / "broken.safetensors", metadata))


def t5_of(width: int) -> T5EncoderModel:
    return T5EncoderModel(T5Config(**(modules().t5.config.to_dict() | {"d_model": width})))


SAID = {
    "no text encoders": "has no text encoder inside (text_encoders.clip_l.transformer.text_model.*)",
    "no T5": "has no text encoder inside (text_encoders.t5xxl.transformer.*)",
    "no VAE": "has no VAE inside",
    "Flux.2's VAE": "is Flux.2's VAE, which Flux.1 dev can't use",
    "T5 twice": "are two text encoders of one kind (t5xxl)",
    "UMT5": "knows 70000 words, and T5's vocabulary has 32100",
    "a CLIP of another width": "takes a vector of 32 channels of the text, and the text encoder (clip_l)",
    "a T5 of another width": "listens to 16 channels of text, and small.safetensors speaks 24",
    "Fill": "is a Flux.1 Fill model",
    "Depth": "is a Flux.1 Canny or Depth model",
    "Chroma": "is a Chroma model",
    "Kontext": "is a Flux.1 Kontext model",
    "a layer less": "lacks 3 of the",
    "no blocks": "The transformer has no single_blocks.0.linear2.weight",
}


@pytest.mark.parametrize("what", SAID)
def test_what_is_wrong_is_one_sentence(what: str, files: FluxFiles, tmp_path: Path) -> None:
    """Said by the heads of the files where they say it."""
    wrong = broken(files, tmp_path, what)
    with pytest.raises(CheckpointError) as error:
        if what == "a layer less":
            loaded(wrong)
        check_heads(wrong.checkpoint, wrong.vae, wrong.texts)
    assert SAID[what] in str(error.value) and "\n" not in str(error.value)


def test_weights_in_8_bits_with_scales_are_what_they_stand_for(tmp_path: Path) -> None:
    """A part of a matrix has the scale of the whole; T5's too."""
    plain, scaled = (
        loaded(write_flux(tmp_path / str(eight), modules=modules(), scaled_fp8=eight)) for eight in (False, True)
    )
    for one, other in ((plain.unet, scaled.unet), (plain.text_encoders[1], scaled.text_encoders[1])):
        wanted = dict(one.named_parameters())
        for name, found in other.named_parameters():
            error = float((found - wanted[name]).abs().max() / wanted[name].abs().max())
            in_8_bits = ("_blocks." in name or name.startswith("block.")) and found.ndim == 2 and "bias" not in name
            assert error < 0.07 if in_8_bits else error == 0, name


def test_one_part_of_a_file_may_have_scales_and_another_none(tmp_path: Path) -> None:
    """T5 scaled and marked, its words in 8 bits by themselves, and the transformer in plain 8 bits beside it."""
    whole = load_file(write_flux(tmp_path, "all-in-one", modules=modules()).checkpoint)
    t5, eight = "text_encoders.t5xxl.transformer.", torch.float8_e4m3fn
    mixed = {f"{t5}scaled_fp8": torch.zeros(2).to(eight)}
    for name, value in whole.items():
        if name.startswith(f"{t5}encoder.block.") and value.ndim == 2 and "bias" not in name:
            scale = value.abs().max() / 448
            mixed |= {name: (value / scale).to(eight), f"{name.removesuffix('weight')}scale_weight": scale}
        else:
            plain = value.ndim == 2 and (name.startswith("model.") or name == f"{t5}shared.weight")
            mixed[name] = value.to(eight) if plain else value
    model = load_checkpoint(saved(mixed, tmp_path / "mixed.safetensors", {"webui.vae.norm_num_groups": "32"}))
    own = modules()
    assert torch.equal(
        model.text_encoders[1].get_parameter("embed_tokens.weight"), own.t5.shared.weight.to(eight).float()
    )
    for found, wanted in ((model.unet, own.transformer), (model.text_encoders[1], own.t5.encoder)):
        for name, value in found.named_parameters():
            exact = wanted.get_parameter(name)
            torch.testing.assert_close(value, exact, atol=0.07 * float(exact.abs().max()), rtol=0)
    del mixed[f"{t5}encoder.block.1.layer.0.SelfAttention.k.scale_weight"]
    with pytest.raises(CheckpointError, match=r"lacks the scale of .*SelfAttention.k.weight"):
        check_heads(saved(mixed, tmp_path / "less.safetensors"))
        load_checkpoint(tmp_path / "less.safetensors")


def drawn(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, WIDTH, generator=generator), torch.randn(rows, 2, generator=generator)


def lora(name: Callable[[str], str], fused: bool) -> dict[str, torch.Tensor]:
    """One change of a block of either kind in a trainer's naming, as the original has it or as diffusers does."""
    made: dict[str, torch.Tensor] = {}
    for parts in (DOUBLE, SINGLE):
        down, up = drawn(sum(parts.values()) * WIDTH)
        whole = next(iter(parts)).partition("|")[0]
        pieces = {whole: up}
        if not fused:
            pieces = dict(
                zip(
                    (key.partition("|")[2] for key in parts),
                    torch.split(up, [n * WIDTH for n in parts.values()]),
                    strict=True,
                )
            )
        for layer, rows in pieces.items():
            stem = name(layer)
            halves = ("lora_down", "lora_up") if "." not in stem else ("lora_A", "lora_B")
            made |= {f"{stem}.{halves[0]}.weight": down.clone(), f"{stem}.{halves[1]}.weight": rows.contiguous()}
    return made


# What the original joins, and how wide each part of it is, in widths of the transformer.
DOUBLE = {f"double_blocks.0.img_attn.qkv|transformer_blocks.0.attn.to_{part}": 1 for part in "qkv"}
SINGLE = {f"single_blocks.1.linear1|single_transformer_blocks.1.attn.to_{part}": 1 for part in "qkv"} | {
    "single_blocks.1.linear1|single_transformer_blocks.1.proj_mlp": 4
}
NAMINGS: dict[str, Callable[[str], str]] = {
    "ComfyUI": lambda path: f"diffusion_model.{path}",
    "diffusers": lambda path: f"transformer.{path}",
    "kohya": lambda path: "lora_unet_" + path.replace(".", "_"),
    "OneTrainer": lambda path: "lora_transformer_" + path.replace(".", "_"),
    "bare": lambda path: path,
}


@pytest.mark.parametrize(("naming", "fused"), some([(n, f) for f in (True, False) for n in NAMINGS], 4))
def test_networks_of_every_naming_do_the_same(naming: str, fused: bool, files: FluxFiles, tmp_path: Path) -> None:
    path = saved(lora(NAMINGS[naming], fused), tmp_path / "ink.safetensors")
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"))
    applied = AppliedNetwork("ink", read_network(path), 1.0, 0.5)
    fit = merger.fit(applied)
    assert (fit.missing, fit.misshapen) == (0, 0) and fit.found
    merger.apply([applied])
    for parts in (DOUBLE, SINGLE):
        down, up = drawn(sum(parts.values()) * WIDTH)
        for key, rows in zip(parts, torch.split(up, [n * WIDTH for n in parts.values()]), strict=True):
            name = f"{key.partition('|')[2]}.weight"
            wanted = modules().transformer.get_parameter(name) + 0.5 * rows @ down
            torch.testing.assert_close(model.unet.get_parameter(name), wanted, atol=1e-5, rtol=1e-5)
    merger.restore()
    for name, value in model.unet.named_parameters():
        assert torch.equal(value, modules().transformer.get_parameter(name))


def test_x_flux_counts_the_halves_of_attention(files: FluxFiles, tmp_path: Path) -> None:
    down, up = drawn(3 * WIDTH)
    double, single = "double_blocks.0.processor", "single_blocks.1.processor"
    path = saved(
        {
            f"{double}.qkv_lora2.down.weight": down, f"{double}.qkv_lora2.up.weight": up,
            f"{double}.proj_lora1.down.weight": down, f"{double}.proj_lora1.up.weight": up[:WIDTH],
            f"{single}.qkv_lora.down.weight": down, f"{single}.qkv_lora.up.weight": up,
        },
        tmp_path / "ink.safetensors",
    )  # fmt: skip
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"))
    applied = AppliedNetwork("ink", read_network(path), 1.0, 1.0)
    fit = merger.fit(applied)
    assert (fit.found, fit.missing, fit.misshapen) == (3, 0, 0)
    merger.apply([applied])
    each = up.chunk(3)
    for name, rows in {
        "transformer_blocks.0.attn.add_k_proj": each[1],
        "transformer_blocks.0.attn.to_out.0": each[0],
        "single_transformer_blocks.1.attn.to_v": each[2],
    }.items():
        wanted = modules().transformer.get_parameter(f"{name}.weight") + rows @ down
        torch.testing.assert_close(model.unet.get_parameter(f"{name}.weight"), wanted, atol=1e-5, rtol=1e-5)


def test_a_network_reaches_text_encoders_biases_and_what_diffusers_turns(files: FluxFiles, tmp_path: Path) -> None:
    """Shift before scale in the file, scale before shift in the module."""
    down, up = drawn(2 * WIDTH)
    final, qkv = "lora_unet_final_layer_adaLN_modulation_1", "lora_unet_double_blocks_0_img_attn_qkv"
    own = {f"{final}.lora_down.weight": down, f"{final}.lora_up.weight": up, f"{qkv}.diff_b": torch.ones(3 * WIDTH)}
    path = saved(flux_lora() | own, tmp_path / "ink.safetensors")
    model, before = loaded(files), modules()
    merger = NetworkMerger(model, torch.device("cpu"))
    applied = AppliedNetwork("ink", read_network(path), 1.0, 1.0)
    fit = merger.fit(applied)
    assert (fit.found, fit.missing, fit.misshapen) == (5, 0, 0)
    merger.apply([applied])
    found = model.unet.get_parameter("norm_out.linear.weight")
    wanted = before.transformer.get_parameter("norm_out.linear.weight") + (up @ down).roll(WIDTH, 0)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    bias = "transformer_blocks.0.attn.to_k.bias"
    torch.testing.assert_close(model.unet.get_parameter(bias), before.transformer.get_parameter(bias) + 1)
    clip, t5 = model.text_encoders
    for now, was in (
        (clip.state_dict(), before.clip.state_dict()),
        (t5.state_dict(), before.t5.encoder.state_dict()),
    ):
        assert len([name for name, value in now.items() if not torch.equal(value, was[name])]) == 1
    merger.restore()
    assert torch.equal(model.unet.get_parameter(bias), before.transformer.get_parameter(bias))


def test_originals_are_read_again_where_there_was_no_room_for_them(files: FluxFiles, tmp_path: Path) -> None:
    path = saved(flux_lora(), tmp_path / "ink.safetensors")
    model = loaded(files)
    merger = NetworkMerger(model, torch.device("cpu"), make_room=lambda needed: False)
    merger.apply([AppliedNetwork("ink", read_network(path))])
    name = "single_transformer_blocks.1.proj_mlp.weight"
    wanted = modules().transformer.get_parameter(name)
    assert not torch.equal(model.unet.get_parameter(name), wanted)
    merger.restore()
    assert torch.equal(model.unet.get_parameter(name), wanted)


@pytest.mark.parametrize("layout", ["split", "diffusers"])
def test_networks_are_merged_into_its_files(layout: Layout, tmp_path: Path) -> None:
    """Into the tensor that holds all rows, or into those that hold a share each."""
    written = write_flux(tmp_path, layout, modules=modules())
    down, up = drawn(7 * WIDTH)
    layer = "lora_unet_single_blocks_1_linear1"
    own = {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up, f"{layer}.diff_b": torch.ones(7 * WIDTH)}
    path = saved(own, tmp_path / "ink.safetensors")
    with open_tensors(written.checkpoint) as file:
        merger = lora_merger(file, [LoraToMerge(path, 0.5, 0.5)])
        merged = {name: merger.into(name, file.tensor(name).clone(), file.tensor) for name in merger.changes}
    assert merger.notices() == ()
    rows = {"attn.to_q": 1, "attn.to_k": 1, "attn.to_v": 1, "proj_mlp": 4}
    each = zip(rows, torch.split(up, [n * WIDTH for n in rows.values()]), strict=True)
    parts = {
        f"single_transformer_blocks.1.{part}.weight": modules().transformer.get_parameter(
            f"single_transformer_blocks.1.{part}.weight"
        )
        + 0.5 * own_rows @ down
        for part, own_rows in each
    }
    if layout == "split":
        found = merged["single_blocks.1.linear1.weight"]
        torch.testing.assert_close(found, torch.cat([*parts.values()]), atol=1e-5, rtol=1e-5)
        assert set(merged) == {"single_blocks.1.linear1.weight", "single_blocks.1.linear1.bias"}
    else:
        for name, wanted in parts.items():
            torch.testing.assert_close(merged[name], wanted, atol=1e-5, rtol=1e-5)
        bias = "single_transformer_blocks.1.proj_mlp.bias"
        torch.testing.assert_close(merged[bias], modules().transformer.get_parameter(bias) + 0.5)


def test_networks_of_other_families_are_known_by_their_shapes(tmp_path: Path) -> None:
    path = saved(lora(NAMINGS["kohya"], True), tmp_path / "ink.safetensors")
    assert read_network(path).base == FLUX_DEV.name == FLUX_SCHNELL.name
    assert FLUX_SCHNELL.takes_networks_for("Flux") and not FLUX_DEV.takes_networks_for(FLUX2_KLEIN_4B.name)


def test_weights_are_stored_in_8_bits_and_still_compute(files: FluxFiles) -> None:
    model = loaded(files)
    given = {
        "hidden_states": torch.randn(1, 16, 64, generator=torch.Generator().manual_seed(0)),
        "timestep": torch.tensor([0.5]), "encoder_hidden_states": torch.ones(1, 9, TEXT_WIDTH),
        "pooled_projections": torch.ones(1, POOLED_WIDTH), "guidance": torch.tensor([3.5]),
        "img_ids": torch.zeros(16, 3), "txt_ids": torch.zeros(9, 3), "return_dict": False,
    }  # fmt: skip
    with torch.no_grad():
        exact = model.unet(**given)[0]
        assert store_in_8_bits(model.unet) > 0
        found = model.unet(**given)[0]
    assert 0 < float((found - exact).abs().mean() / exact.abs().mean()) < 0.2


@pytest.mark.parametrize("guided", [True, False])
def test_the_published_sizes_follow_from_the_shapes(guided: bool) -> None:
    """Of 11.9 billion parameters, none with memory; no tensor of the original layout has rows that nobody takes."""
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(guidance_embeds=guided)
    shapes: dict[str, tuple[int, ...]] = {}
    taken: dict[str, int] = defaultdict(int)
    for name, value in transformer.named_parameters():
        source = flux_original(name)
        shapes[source.name] = (value.shape[0] * source.part[1] // source.span, *value.shape[1:])
        taken[source.name] += value.shape[0]
    assert all(shapes[name][0] == rows for name, rows in taken.items())
    assert (shapes["single_blocks.37.linear1.weight"], len(shapes)) == ((21504, 3072), 780 if guided else 776)
    shape = infer_flux(shapes)
    assert all(transformer.config[name] == value for name, value in shape.config().items())
    assert (shape.in_channels, shape.context_dim, shape.pooled_dim) == (16, 4096, 768)


def test_the_published_t5_follows_from_its_shapes() -> None:
    """By the configuration that FLUX.1 is published with."""
    published: dict[str, Any] = {
        "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
        "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128, "layer_norm_epsilon": 1e-6,
        "feed_forward_proj": "gated-gelu",
    }  # fmt: skip
    with torch.device("meta"):
        encoder = T5Stack(T5Config(**published, is_encoder_decoder=False, use_cache=False))
    shapes = {t5_source(name).name: tuple(value.shape) for name, value in encoder.named_parameters()}
    found = infer_t5(shapes).config()
    assert {name: found[name] for name in published} == published
