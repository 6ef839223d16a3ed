"""LoRAs merged into checkpoints and extracted from them, against loaded models and the facts' golden value."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.families import SDXL
from modules.parameters.merger_request import ExtractRequest, MergeRequest
from modules.weights.checkpoint import load_checkpoint
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.extraction import extract_lora, factors_of, largest_singular
from modules.weights.merging.loras import LoraToMerge
from modules.weights.merging.sources import SourceModel
from modules.weights.networks.kinds import LowRank
from modules.weights.networks.reading import read_network
from modules.weights.networks.targets import network_targets
from tests.amounts import some
from tests.checkpoints import TINY_SD2, TINY_SDXL, Architecture, write_lora, write_tiny_checkpoint
from tests.weights.networks.samples import fill

ARCHITECTURES = {"SD1": Architecture(), "SD2": TINY_SD2, "SDXL": TINY_SDXL}


def target(folder: Path, name: str) -> MergeTarget:
    return MergeTarget(folder, name, "0123456789abcdef")


def with_lora(folder: Path, checkpoint: Path, *loras: LoraToMerge, name: str = "with") -> tuple[Path, tuple[str, ...]]:
    source = SourceModel(checkpoint, checkpoint.stem, None, None)
    request = MergeRequest(interp_method="No interpolation")
    return merge_checkpoints(request, [source], None, target(folder, name), lambda share: None, loras)


def weights(path: Path) -> dict[str, Tensor]:
    """The UNet and the text encoders as loaded, by paths of the model."""
    model = load_checkpoint(path)
    found = {f"unet.{name}": value for name, value in model.unet.state_dict().items()}
    for index, encoder in enumerate(model.text_encoders):
        found |= {f"text_encoders.{index}.{name}": value for name, value in encoder.state_dict().items()}
    return found


@pytest.mark.parametrize("family", some(ARCHITECTURES, 1))
def test_a_merged_lora_is_in_the_loaded_model_and_extracting_gives_it_back(tmp_path: Path, family: str) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors", architecture=ARCHITECTURES[family], dtype="fp32")
    model = load_checkpoint(checkpoint)
    generator = torch.Generator().manual_seed(5)
    # Every attention layer of the UNet and of the text encoders gets a random product of rank 2.
    flat = {
        name: one
        for name, one in network_targets(model).items()
        if name.startswith(("lora_unet_down_", "lora_unet_mid_", "lora_unet_up_", "lora_te"))
        and any(part in one.path for part in (".attentions.", ".self_attn.", ".mlp."))
        and isinstance(one.module, torch.nn.Linear | torch.nn.Conv2d)
    }
    tensors: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    before = weights(checkpoint)
    for name, one in flat.items():
        weight = before[f"{one.path}.weight"]
        up = torch.randn(weight.shape[0], 2, generator=generator) * 0.1
        down = torch.randn(2, weight.flatten(1).shape[1], generator=generator) * 0.1
        tensors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down, f"{name}.alpha": torch.tensor(1.0)}
        multiplier = 0.25 if one.text_encoder else 0.5
        wanted[f"{one.path}.weight"] = weight + multiplier * 0.5 * (up @ down).reshape(weight.shape)
    assert len(wanted) > 20 and any(name.startswith("text_encoders.") for name in wanted)
    save_file(tensors, tmp_path / "lora.safetensors")
    path, notices = with_lora(tmp_path, checkpoint, LoraToMerge(tmp_path / "lora.safetensors", 0.5, 0.25))
    after = weights(path)
    assert notices == ()
    for name, value in before.items():
        torch.testing.assert_close(after[name], wanted.get(name, value), rtol=1e-5, atol=1e-6, msg=name)

    extracted, said = extract_lora(
        ExtractRequest(tuned="with", original="base", rank=2, save_as="float32"),
        path,
        checkpoint,
        target(tmp_path, "extracted"),
        lambda share: None,
    )
    assert said == () and {name.rpartition(".lora_")[0] for name in load_file(extracted) if ".lora_" in name} <= set(
        network_targets(model)
    )
    names = [name for name in load_file(extracted) if name.startswith("lora_unet_")]
    assert any("input_blocks" in name for name in names) == (ARCHITECTURES[family].family is SDXL)
    again, _ = with_lora(tmp_path, checkpoint, LoraToMerge(extracted, 1.0, 1.0), name="again")
    found = weights(again)
    for name in wanted:
        change = after[name] - before[name]
        up, down = factors_of(change.flatten(1), 2)
        torch.testing.assert_close((found[name] - before[name]).flatten(1), up @ down, rtol=1e-3, atol=1e-5, msg=name)
        assert float((found[name] - after[name]).norm()) < 0.5 * float(change.norm()), name


def test_layers_without_a_place_are_counted_and_a_lora_without_any_is_refused(tmp_path: Path) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors")
    lora = write_lora(tmp_path / "lora.safetensors")
    tensors = load_file(lora)
    stray = {name.replace("down_blocks_0", "down_blocks_7"): value.clone() for name, value in tensors.items()}
    # Of another width than the checkpoint's.
    odd = {name.replace("attn2_to_k", "attn1_to_k"): value.clone() for name, value in tensors.items()}
    save_file(tensors | stray | odd, tmp_path / "mixed.safetensors")
    path, notices = with_lora(tmp_path, checkpoint, LoraToMerge(tmp_path / "mixed.safetensors", 1.0, 1.0))
    assert notices == (
        "mixed.safetensors: 1 of its layers are for parts that this checkpoint lacks, and were left out.",
        "mixed.safetensors: 1 of its tensors don't fit this checkpoint, and were left out; the first, "
        "'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k' has [32, 4] and [4, 64] "
        "for a tensor of [32, 32].",
    )
    before, after = load_file(checkpoint), load_file(path)
    (changed,) = (name for name in before if not torch.equal(before[name], after[name]))
    assert changed == "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    save_file(stray, tmp_path / "stray.safetensors")
    with pytest.raises(
        CheckpointError, match=r"No layer of stray\.safetensors belongs to anything in base\.safetensors"
    ):
        with_lora(tmp_path, checkpoint, LoraToMerge(tmp_path / "stray.safetensors", 1.0, 1.0), name="never")


def test_a_lora_whose_layers_all_have_other_shapes_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors")
    odd = {
        name.replace("attn2_to_k", "attn1_to_k"): value.clone()
        for name, value in load_file(write_lora(tmp_path / "lora.safetensors")).items()
    }
    save_file(odd, tmp_path / "odd.safetensors")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError) as refused:
        with_lora(tmp_path, checkpoint, LoraToMerge(tmp_path / "odd.safetensors", 1.0, 1.0))
    assert str(refused.value) == (
        "No layer of odd.safetensors has the shape of anything in base.safetensors; the first, "
        "'lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k' has [32, 4] and [4, 64] "
        "for a tensor of [32, 32]."
    )
    assert sorted(tmp_path.iterdir()) == before


def test_no_layer_is_left_out_because_memory_ran_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "base.safetensors")
    lora = write_lora(tmp_path / "lora.safetensors")

    def refused(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")

    monkeypatch.setattr(LowRank, "merge_into", refused)
    with pytest.raises(RuntimeError, match="can't allocate"):
        with_lora(tmp_path, checkpoint, LoraToMerge(lora, 1.0, 1.0))
    assert not (tmp_path / "with.safetensors").exists()


def test_extraction_has_kohyas_values() -> None:
    difference = fill(2, (4, 2)) @ fill(3, (2, 6))
    assert torch.linalg.svdvals(difference)[:2].tolist() == pytest.approx([0.861622, 0.243787], abs=1e-5)
    up, down = factors_of(difference, 1)
    assert float(torch.cat([up.flatten(), down.flatten()]).abs().max()) == pytest.approx(0.682210, abs=1e-5)
    product = up @ down
    assert float(product.sum()) == pytest.approx(-0.518142, abs=1e-5)
    assert float(product.square().sum()) == pytest.approx(0.741455, abs=1e-5)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.5])
@pytest.mark.parametrize("shape", [(320, 200), (180, 400)])
def test_factors_of_a_large_difference_are_the_best_of_their_rank(shape: tuple[int, int], decay: float) -> None:
    """Whether its singular values fall or not; the same every time, and nobody else's random numbers change."""
    generator = torch.Generator().manual_seed(7)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    left, _, right = torch.linalg.svd(noise, full_matrices=False)
    sizes = torch.arange(1, min(shape) + 1, dtype=torch.float64) ** -decay
    difference = ((left * sizes) @ right).float()
    before = torch.random.get_rng_state()
    up, down = _largest_of(difference, 8)
    assert torch.equal(torch.random.get_rng_state(), before)
    remains = float((difference - up @ down).norm())
    assert remains <= 1.001 * float(sizes[8:].square().sum().sqrt())
    assert all(torch.equal(one, other) for one, other in zip(*(factors_of(difference, 8) for _ in "ab"), strict=True))


def _largest_of(difference: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors before any entry of them is cut off."""
    left, sizes, right = largest_singular(difference, rank)
    return left * sizes, right


@pytest.mark.long
def test_what_an_extraction_holds(tmp_path: Path) -> None:
    base = write_tiny_checkpoint(tmp_path / "base.safetensors", dtype="fp32")
    tuned = load_file(base)
    generator = torch.Generator().manual_seed(3)
    for name, value in tuned.items():
        if name.startswith("model.diffusion_model.") and value.ndim > 1:
            tuned[name] = value + 0.01 * torch.randn(value.shape, generator=generator)
    with safe_open(base, framework="pt") as file:
        metadata = dict(file.metadata())
    save_file(tuned, tmp_path / "tuned.safetensors", metadata=metadata)

    def extracted(name: str, conv_rank: int) -> dict[str, Tensor]:
        request = ExtractRequest(tuned="tuned", original="base", rank=4, conv_rank=conv_rank)
        path, said = extract_lora(
            request, tmp_path / "tuned.safetensors", base, target(tmp_path, name), lambda share: None
        )
        assert said == ("The text encoders differ too little to be in the LoRA.",)
        return load_file(path)

    plain, conv = extracted("plain", 0), extracted("conv", 2)
    assert plain and all("_attentions_" in name and value.dtype == torch.float16 for name, value in plain.items())
    resnet = "lora_unet_down_blocks_0_resnets_0_conv1"
    assert f"{resnet}.alpha" not in plain and float(conv[f"{resnet}.alpha"]) == 2
    assert conv[f"{resnet}.lora_up.weight"].shape == (32, 2, 1, 1)
    assert conv[f"{resnet}.lora_down.weight"].shape == (2, 32, 3, 3)
    assert float(conv["lora_unet_down_blocks_0_resnets_0_time_emb_proj.alpha"]) == 4
    assert "lora_unet_conv_in.alpha" not in conv
    network = read_network(tmp_path / "conv.safetensors")
    assert network.metadata["ss_network_dim"] == "4" and network.metadata["ss_base_model_version"] == "sd_v1"
    with pytest.raises(CheckpointError, match="do not differ"):
        extract_lora(ExtractRequest(), base, base, target(tmp_path, "nothing"), lambda share: None)
