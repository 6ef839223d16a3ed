"""Loading: what was written into a file comes out as the modules it was made of, or one sentence says why not."""

import itertools
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from modules.catalogue import ModelFileError
from modules.families import PLAYGROUND, SD1, SDXL
from modules.weights.checkpoint import is_scaled_for, load_checkpoint, load_vae
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import build_module
from modules.weights.original_names import TensorSource
from modules.weights.tensor_file import open_tensors
from tests.amounts import some
from tests.catalogue.files import write_header
from tests.checkpoints import (
    TINY_COSXL,
    TINY_PLAYGROUND,
    TINY_SDXL,
    Architecture,
    forget_lightning,
    lightning_leftovers,
    make_modules,
    original_tensors,
    stated_facts,
    truncate,
    write_embedding,
    write_lora,
    write_tensors,
    write_tiny_checkpoint,
    write_vae,
)

SMALL = Architecture(vocabulary=512)
ARCHITECTURES = {
    "tiny": SMALL,
    "four levels, last without attention": Architecture(
        unet_channels=(32, 64, 64, 96), unet_layers=2, unet_attention=(True, True, True, False), norm_num_groups=32,
        vae_channels=(32, 32, 64, 64), vae_layers=2, vocabulary=512,
    ),
    "three levels, no attention at the top": Architecture(
        unet_channels=(32, 48, 64), unet_attention=(False, True, True), vocabulary=512, text_layers=3, text_hidden=128,
        text_heads=2,
    ),
    "one level": Architecture(unet_channels=(32,), unet_attention=(True,), vocabulary=512, vae_channels=(16, 16)),
    "deep transformers, linear projections": Architecture(
        unet_depth=3, linear_projection=True, heads=(2, 4), vocabulary=512
    ),
    "inpainting": replace(SMALL, in_channels=9),
    "instruct-pix2pix": replace(SMALL, in_channels=8),
    "sixteen latent channels": replace(SMALL, latent_channels=16, in_channels=16),
    "three layers": replace(SMALL, unet_layers=3, vae_layers=3),
    "two levels of VAE": replace(SMALL, vae_channels=(16, 32)),
    "no attention in the middle": replace(SMALL, middle="UNetMidBlock2D"),
    "no middle": replace(SMALL, middle=None),
}  # fmt: skip


def outputs(modules: Any, architecture: Architecture) -> list[torch.Tensor]:
    """What each module makes of one fixed input."""
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(2, architecture.in_channels, 8, 8, generator=generator)
    context = torch.randn(2, 11, sum(architecture.text_widths), generator=generator)
    image = torch.rand(1, 3, 32, 32, generator=generator)
    ids = torch.randint(0, architecture.vocabulary, (2, 77), generator=generator)
    with torch.no_grad():
        return [
            modules.unet(latents, 321, context).sample,
            modules.vae.decode(latents[:, : architecture.latent_channels]).sample
            if architecture.latent_channels <= architecture.in_channels
            else image,
            modules.vae.encode(image).latent_dist.mean,
            modules.text_encoders[0](ids).last_hidden_state,
        ]


@pytest.mark.parametrize("name", some(ARCHITECTURES, 3))
def test_any_width_and_depth_round_trips_exactly(tmp_path: Path, name: str) -> None:
    architecture = ARCHITECTURES[name]
    path = write_tiny_checkpoint(
        tmp_path / "m.safetensors", dtype="fp32", architecture=architecture, seed=3,
        norm_num_groups=architecture.norm_num_groups,
    )  # fmt: skip
    expected = make_modules(architecture, seed=3)
    model = load_checkpoint(path)
    for found, wanted in zip(outputs(model, architecture), outputs(expected, architecture), strict=True):
        assert torch.equal(found, wanted)
    assert model.unet_channels == architecture.in_channels
    assert model.latent_channels == architecture.latent_channels
    assert model.vae_factor == 2 ** (len(architecture.vae_channels) - 1)
    assert model.text_widths == architecture.text_widths


@pytest.mark.long
@pytest.mark.parametrize("name", ["tiny", "four levels, last without attention", "inpainting"])
def test_diffusers_own_converters_read_the_same_weights(tmp_path: Path, name: str) -> None:
    """The oracle for names: diffusers' converters, which read the published checkpoints."""
    architecture = ARCHITECTURES[name]
    modules = make_modules(architecture, seed=1)
    tensors = original_tensors(modules)
    unet = convert_ldm_unet_checkpoint(dict(tensors), dict(modules.unet.config))  # type: ignore[no-untyped-call]  # unannotated in diffusers
    vae = convert_ldm_vae_checkpoint(dict(tensors), dict(modules.vae.config))  # type: ignore[no-untyped-call]  # unannotated in diffusers
    for converted, module in ((unet, modules.unet), (vae, modules.vae)):
        state = module.state_dict()
        assert set(converted) == set(state)
        assert all(torch.equal(converted[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    ("suffix", "stored", "wanted"),
    some(
        itertools.product([".safetensors", ".ckpt"], ["fp16", "bf16", "fp32"], [torch.float32, torch.bfloat16]),
        5,
    ),
)
def test_every_type_of_file_loads_into_every_type(
    tmp_path: Path, suffix: str, stored: Any, wanted: torch.dtype
) -> None:
    path = write_tiny_checkpoint(tmp_path / f"m{suffix}", dtype=stored, architecture=SMALL)
    model = load_checkpoint(path, dtype=wanted, vae_dtype=torch.float32)
    expected = original_tensors(make_modules(SMALL), stored)["model.diffusion_model.out.2.weight"]
    assert torch.equal(model.unet.conv_out.weight, expected.to(wanted))
    assert model.unet.dtype is wanted and model.vae.dtype is torch.float32 and model.text_encoders[0].dtype is wanted
    assert not model.unet.training
    assert not any(parameter.requires_grad for parameter in model.unet.parameters())


def test_channels_last_changes_the_layout_not_the_values(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    plain, last = load_checkpoint(path), load_checkpoint(path, channels_last=True)
    for one, other in zip(plain.unet.parameters(), last.unet.parameters(), strict=True):
        assert torch.equal(one, other)
    assert last.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert last.vae.decoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert plain.unet.conv_in.weight.is_contiguous()


def test_the_ema_half_is_left_alone(tmp_path: Path) -> None:
    plain = load_checkpoint(write_tiny_checkpoint(tmp_path / "a.safetensors", architecture=SMALL))
    both = load_checkpoint(write_tiny_checkpoint(tmp_path / "b.safetensors", architecture=SMALL, ema=True))
    assert torch.equal(plain.unet.conv_in.weight, both.unet.conv_in.weight)


def test_a_lightning_checkpoint_loads(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "old.ckpt", architecture=SMALL, ema=True, extra=lightning_leftovers())
    forget_lightning()
    expected = make_modules(SMALL).unet.conv_in.weight.half().float()
    assert torch.equal(load_checkpoint(path).unet.conv_in.weight, expected)


def test_the_file_can_be_replaced_while_the_model_lives(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", dtype="fp32", architecture=SMALL)
    model = load_checkpoint(path)
    before = outputs(model, SMALL)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert all(torch.equal(one, other) for one, other in zip(before, outputs(model, SMALL), strict=True))


def test_no_network_is_ever_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    vae = write_vae(tmp_path / "v.safetensors", architecture=SMALL)

    def refuse(*_arguments: object, **_named: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    assert load_checkpoint(path, vae_path=vae).loaded


# What shapes can't tell


def test_facts_come_from_metadata(tmp_path: Path) -> None:
    metadata = {
        "modelspec.prediction_type": "v", "modelspec.resolution": "128x192", "webui.vae.scaling_factor": "0.5",
        "ztsnr": "1",
    }  # fmt: skip
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL, metadata=metadata)
    model = load_checkpoint(path, title="m [0123456789]", sha256="ab")
    assert (model.predicts.kind, model.predicts.zero_terminal_snr) == ("v_prediction", True)
    assert (model.resolution, model.default_resolution) == ((128, 192), (128, 192))
    assert model.latent_scaling.factor == 0.5
    assert (model.family, model.title, model.sha256, model.path) == (SD1, "m [0123456789]", "ab", path)


def test_facts_without_a_statement(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL))
    assert (model.predicts.kind, model.predicts.zero_terminal_snr) == ("epsilon", False)
    assert (model.resolution, model.default_resolution) == (None, (512, 512))
    assert model.latent_scaling.factor == 0.18215
    assert model.title == "m.safetensors"


def test_files_of_edm_say_their_noise_levels(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "cos.safetensors", architecture=TINY_COSXL)
    model = load_checkpoint(path)
    assert model.predicts.kind == "edm_v_prediction" and model.predicts.edm is not None
    assert (model.predicts.edm.sigma_min, model.predicts.edm.sigma_max) == pytest.approx((0.002, 120.0))
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    for value, wanted in ((90.0, 90.0), (float("nan"), None), (0.001, None)):
        changed = tensors | {"edm_vpred.sigma_max": torch.tensor(value)}
        save_file(changed, tmp_path / "other.safetensors", metadata)
        if wanted is None:
            with pytest.raises(CheckpointError, match="are no noise levels"):
                load_checkpoint(tmp_path / "other.safetensors")
        else:
            edm = load_checkpoint(tmp_path / "other.safetensors").predicts.edm
            assert edm is not None and edm.sigma_max == wanted


@pytest.mark.long
def test_a_vae_is_read_anew_for_playground(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "xl.safetensors", architecture=TINY_SDXL))
    assert is_scaled_for(model.vae, SDXL) and not is_scaled_for(model.vae, PLAYGROUND)
    other = write_tiny_checkpoint(tmp_path / "playground.safetensors", architecture=TINY_PLAYGROUND)
    playground = load_checkpoint(other, vae_path=model.path, vae=model.vae)
    assert playground.predicts.kind == "edm" and playground.vae is not model.vae
    assert is_scaled_for(playground.vae, PLAYGROUND) and playground.latent_scaling.std == PLAYGROUND.latents_std


def test_marker_tensors_tell_the_prediction_type(tmp_path: Path) -> None:
    tensors = original_tensors(make_modules(SMALL)) | {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}
    model = load_checkpoint(write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL)))
    assert (model.predicts.kind, model.predicts.zero_terminal_snr) == ("v_prediction", True)
    # Trainers leave "epsilon" in the metadata of what was merged into such a model.
    lies = stated_facts(SMALL) | {"modelspec.prediction_type": "epsilon", "zero_terminal_snr": "false"}
    model = load_checkpoint(write_tensors(tmp_path / "n.safetensors", tensors, lies))
    assert (model.predicts.kind, model.predicts.zero_terminal_snr) == ("v_prediction", True)


def test_groups_that_do_not_fit_say_what_to_state(tmp_path: Path) -> None:
    """Without its metadata a small model looks as if it had 32 groups."""
    tensors = original_tensors(make_modules(SMALL))
    with pytest.raises(CheckpointError, match=r"can't be built.*norm_num_groups"):
        load_checkpoint(write_tensors(tmp_path / "m.safetensors", tensors, {}))


def test_the_alphas_are_latent_diffusions(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL))
    alphas = model.noise.alphas_cumprod()
    assert alphas.shape == (1000,)
    sigmas = ((1 - alphas) / alphas).sqrt()
    assert sigmas[0].item() == pytest.approx(0.029168, abs=1e-6)
    assert sigmas[-1].item() == pytest.approx(14.614642, abs=1e-4)


# VAE


def test_an_external_vae_replaces_the_own_one(tmp_path: Path) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    wanted = make_modules(SMALL, seed=9).vae.decoder.conv_in.weight
    for name, prefix in (("v.safetensors", ""), ("v.ckpt", ""), ("w.safetensors", "first_stage_model.")):
        vae = write_vae(tmp_path / name, seed=9, prefix=prefix, architecture=SMALL)
        model = load_checkpoint(checkpoint, vae_path=vae)
        assert torch.equal(model.vae.decoder.conv_in.weight, wanted) and model.vae_path == vae
        assert torch.equal(load_vae(vae, dtype=torch.float32, family=SD1).decoder.conv_in.weight, wanted)


def test_a_checkpoint_without_vae_asks_for_one(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL, vae=False)
    with pytest.raises(CheckpointError, match=r"m\.safetensors has no VAE inside.*put one into models/VAE"):
        load_checkpoint(path)
    vae = write_vae(tmp_path / "v.safetensors", architecture=SMALL)
    assert load_checkpoint(path, vae_path=vae).loaded


@pytest.mark.long
def test_a_vae_that_was_read_for_another_family_is_not_taken_over(tmp_path: Path) -> None:
    """The file of a VAE says nothing of its scale: the same one serves both families, each with its own."""
    vae = write_vae(tmp_path / "v.safetensors")
    old = load_checkpoint(write_tiny_checkpoint(tmp_path / "old.safetensors"), vae_path=vae)
    path = write_tiny_checkpoint(tmp_path / "xl.safetensors", architecture=TINY_SDXL)
    large = load_checkpoint(path, vae_path=vae, vae=old.vae)
    assert (old.latent_scaling.factor, large.latent_scaling.factor) == (0.18215, 0.13025)
    again = load_checkpoint(path, vae_path=vae, vae=large.vae)
    assert again.vae is large.vae


def test_a_vae_for_other_latents_is_refused(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    vae = write_vae(tmp_path / "v.safetensors", architecture=replace(SMALL, latent_channels=16))
    with pytest.raises(CheckpointError, match=r"4 latent channels, the VAE has 16"):
        load_checkpoint(path, vae_path=vae)


def test_what_is_no_vae_says_what_it_is(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    with pytest.raises(CheckpointError, match=r"l\.safetensors is not a VAE but a LoRA"):
        load_checkpoint(path, vae_path=write_lora(tmp_path / "l.safetensors"))


def test_a_vae_in_diffusers_names_is_read_too(tmp_path: Path) -> None:
    path = write_tiny_checkpoint(tmp_path / "m.safetensors", architecture=SMALL)
    own = make_modules(SMALL, seed=5).vae
    groups = {"webui.vae.norm_num_groups": str(SMALL.norm_num_groups)}
    model = load_checkpoint(path, vae_path=write_tensors(tmp_path / "d.safetensors", own.state_dict(), groups))
    wanted = dict(own.named_parameters())
    assert all(torch.equal(value, wanted[name]) for name, value in model.vae.named_parameters())


# Files that are not what they should be


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    with open_tensors(path) as file:
        return {name: file.tensor(name).clone() for name in file.shapes}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("good") / "m.safetensors", architecture=SMALL)


@pytest.mark.parametrize(
    ("lost", "part"),
    some([("model.diffusion_model.middle_block.1.norm.weight", "UNet"),
     ("model.diffusion_model.output_blocks.0.0.emb_layers.1.bias", "UNet"),
     ("first_stage_model.decoder.mid.attn_1.k.bias", "VAE"),
     ("cond_stage_model.transformer.text_model.encoder.layers.1.self_attn.q_proj.weight", "text encoder")], 2),
)  # fmt: skip
def test_a_missing_tensor_is_named(good: Path, tmp_path: Path, lost: str, part: str) -> None:
    tensors = tensors_of(good)
    del tensors[lost]
    path = write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL))
    with pytest.raises(CheckpointError, match=r"m\.safetensors lacks 1 of the") as error:
        load_checkpoint(path)
    assert lost in str(error.value) and part in str(error.value)


@pytest.mark.parametrize(
    ("changed", "shape", "expected"),
    some([("model.diffusion_model.out.0.weight", (7,), r"shape \[7\]"),
     ("model.diffusion_model.input_blocks.0.0.weight", (4,), "4 dimensions were expected"),
     ("first_stage_model.decoder.conv_in.weight", (3,), "four dimensions were expected"),
     ("cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", (2, 2, 2), "two dimensions"),
     ("model.diffusion_model.time_embed.0.weight", (3, 3), r"calls for")], 2),
)  # fmt: skip
def test_a_tensor_of_another_shape_is_named(
    good: Path, tmp_path: Path, changed: str, shape: tuple[int, ...], expected: str
) -> None:
    tensors = tensors_of(good) | {changed: torch.zeros(shape)}
    path = write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL))
    with pytest.raises(CheckpointError, match=expected) as error:
        load_checkpoint(path)
    assert changed.rpartition("model.")[2] in str(error.value)


def test_parts_of_different_models_are_distinguished(good: Path, tmp_path: Path) -> None:
    other = original_tensors(make_modules(replace(SMALL, text_hidden=128)))
    text = {name: value for name, value in other.items() if name.startswith("cond_stage_model.")}
    path = write_tensors(tmp_path / "m.safetensors", tensors_of(good) | text, stated_facts(SMALL))
    with pytest.raises(CheckpointError, match="listens to 64 channels of text, its text encoder speaks 128"):
        load_checkpoint(path)


def test_a_checkpoint_without_text_encoder_says_so(good: Path, tmp_path: Path) -> None:
    tensors = {name: value for name, value in tensors_of(good).items() if not name.startswith("cond_stage_model.")}
    with pytest.raises(CheckpointError, match="no text encoder inside"):
        load_checkpoint(write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL)))


def test_a_merge_without_the_text_model_level_loads(good: Path, tmp_path: Path) -> None:
    tensors = {
        name.replace("transformer.text_model.", "transformer."): value for name, value in tensors_of(good).items()
    }
    assert load_checkpoint(write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL))).loaded


def test_weights_in_8_bits_are_read(good: Path, tmp_path: Path) -> None:
    weights = {name: value for name, value in tensors_of(good).items() if "position_ids" not in name}
    tensors = {name: value.to(torch.float8_e4m3fn) for name, value in weights.items()}
    model = load_checkpoint(
        write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL)), dtype=torch.float16
    )
    original = tensors["model.diffusion_model.input_blocks.0.0.weight"]
    assert torch.equal(model.unet.conv_in.weight, original.to(torch.float16))


def test_models_that_cannot_be_run_are_named(good: Path, tmp_path: Path) -> None:
    for marker, kind in (
        ("embedder.model.ln_final.weight", "an unCLIP model"),
        ("cond_stage_model.roberta.x", "an AltDiffusion model"),
        ("model.diffusion_model.label_emb.weight", "an upscaling diffusion model"),
    ):
        path = write_tensors(tmp_path / "m.safetensors", tensors_of(good) | {marker: torch.zeros(2)}, {})
        with pytest.raises(CheckpointError, match=kind):
            load_checkpoint(path)


def test_files_of_other_kinds_say_what_to_do_with_them(tmp_path: Path) -> None:
    for path, expected in (
        (write_lora(tmp_path / "lora.safetensors"), "is not a checkpoint but a LoRA: put it into models/Lora"),
        (write_lora(tmp_path / "lora.ckpt"), "a LoRA"),
        (write_vae(tmp_path / "vae.safetensors"), "is not a checkpoint but a VAE: put it into models/VAE"),
        (write_embedding(tmp_path / "e.safetensors"), "a textual inversion embedding"),
        (write_tensors(tmp_path / "ema.ckpt", {"model_ema.diffusion_modelout2weight": torch.ones(2)}, {}), "EMA half"),
        (write_tensors(tmp_path / "odd.ckpt", {"x.y": torch.ones(2)}, {}), "of a kind that is not known"),
    ):
        with pytest.raises(CheckpointError, match=expected):
            load_checkpoint(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize("keep", some([0.0, 0.0001, 0.01, 0.5, 0.99], 3))
def test_a_truncated_checkpoint_is_one_sentence(tmp_path: Path, suffix: str, keep: float) -> None:
    path = truncate(write_tiny_checkpoint(tmp_path / f"cut{suffix}", architecture=SMALL), keep)
    with pytest.raises(ModelFileError) as error:
        load_checkpoint(path)
    assert "cut" in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_vanished_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"gone\.ckpt is no longer in .*press refresh"):
        load_checkpoint(tmp_path / "gone.ckpt")


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    """Our header check reads each entry alone; that they lie apart is safetensors' own check."""
    entry = {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}
    path = write_header(tmp_path / "overlap.safetensors", {"a": entry, "b": entry}, b"\0" * 4)
    with pytest.raises(CheckpointError, match=r"overlap\.safetensors can't be read as safetensors"):
        load_checkpoint(path)


def test_fp8_files_load(good: Path, tmp_path: Path) -> None:
    tensors = {
        name: value.to(torch.float8_e4m3fn) if value.is_floating_point() else value
        for name, value in tensors_of(good).items()
    }
    model = load_checkpoint(write_tensors(tmp_path / "m.safetensors", tensors, stated_facts(SMALL)))
    assert torch.equal(model.unet.conv_out.weight, tensors["model.diffusion_model.out.2.weight"].float())


def test_a_module_keeps_its_buffers_real(good: Path) -> None:
    """A buffer left on the meta device makes garbage without an error (transformers' position_ids)."""
    model = load_checkpoint(good)
    assert all(not buffer.is_meta for buffer in model.text_encoders[0].buffers())
    assert all(not parameter.is_meta for parameter in model.unet.parameters())


def test_a_class_that_refuses_its_configuration_is_not_hidden(good: Path) -> None:
    with open_tensors(good) as file, pytest.raises(ValueError, match="groups"):
        build_module(
            lambda: UNet2DConditionModel(block_out_channels=(30, 30, 30, 30)), file, TensorSource, part="UNet",
            dtype=torch.float32, device=torch.device("cpu"),
        )  # fmt: skip


def test_the_writer_is_reproducible(tmp_path: Path) -> None:
    first = write_tiny_checkpoint(tmp_path / "a.safetensors", seed=4, architecture=SMALL)
    again = write_tiny_checkpoint(tmp_path / "b.safetensors", seed=4, architecture=SMALL)
    other = write_tiny_checkpoint(tmp_path / "c.safetensors", seed=5, architecture=SMALL)
    written, same, another = tensors_of(first), tensors_of(again), tensors_of(other)
    assert written.keys() == same.keys() == another.keys()
    assert all(torch.equal(value, same[name]) for name, value in written.items())
    assert not torch.equal(written["model.diffusion_model.out.2.weight"], another["model.diffusion_model.out.2.weight"])
