"""Merged checkpoints of families without a UNet, in the layouts that they come in, and what is refused with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.parameters.merger_request import ExtractRequest, MergeRequest
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.extraction import extract_lora
from modules.weights.merging.loras import LoraToMerge
from modules.weights.merging.sources import SourceModel
from modules.weights.networks.reading import read_network
from tests.amounts import some
from tests.checkpoints import write_lora, write_tiny_checkpoint, write_vae
from tests.flux2_files import flux2_lora, write_flux2
from tests.flux_files import write_flux
from tests.z_image_files import make_z_image, write_z_image, z_image_lora

WRITERS: dict[str, Callable[..., Any]] = {"Z-Image": write_z_image, "Flux": write_flux, "klein": write_flux2}


# Some layers of transformers and of text encoders, by how their names end.
TUNED = (
    *(".qkv.weight", ".linear1.weight", ".to_q.weight"),
    *(".layers.0.mlp.up_proj.weight", ".layers.0.mlp.fc1.weight", ".DenseReluDense.wi_0.weight"),
)


def merged(folder: Path, *paths: Path, loras: tuple[Path, ...] = (), vae: Path | None = None, **fields: Any) -> Path:
    method = ("No interpolation", "Weighted sum", "Add difference")[len(paths) - 1]
    request = MergeRequest.model_validate({"interp_method": method, "multiplier": 0.25} | fields)
    sources = [SourceModel(path, path.stem, None, None) for path in paths]
    target = MergeTarget(folder, "merged", "0123456789abcdef")
    weighed = [LoraToMerge(path, 1.0, 1.0) for path in loras]
    path, notices = merge_checkpoints(request, sources, vae, target, lambda share: None, weighed)
    assert not notices
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("families")
    return {
        "Z-Image": write_z_image(folder, "split").checkpoint,
        "klein": write_flux2(folder, "split").checkpoint,
        "SD1": write_tiny_checkpoint(folder / "sd1.safetensors"),
    }


@pytest.mark.parametrize("layout", some(["split", "diffusers", "all-in-one"], 2))
@pytest.mark.parametrize("family", WRITERS)
def test_every_tensor_of_every_layout_is_merged(family: str, layout: str, tmp_path: Path) -> None:
    a = WRITERS[family](tmp_path, layout).checkpoint
    values = load_file(a)
    other = {name: one + 0.5 * torch.rand_like(one) if one.is_floating_point() else one for name, one in values.items()}
    save_file(other, tmp_path / "b.safetensors")
    found = load_file(merged(tmp_path, a, tmp_path / "b.safetensors", save_as="float16"))
    assert found.keys() == values.keys()
    for name, one in values.items():
        if one.is_floating_point():
            wanted = (0.75 * one.double() + 0.25 * other[name].double()).half()
            torch.testing.assert_close(found[name], wanted, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("layout", some(["split", "diffusers", "all-in-one"], 2))
@pytest.mark.parametrize("family", WRITERS)
def test_what_is_extracted_and_merged_into_the_original_gives_the_tuned_one(
    family: str, layout: str, tmp_path: Path
) -> None:
    original = WRITERS[family](tmp_path, layout).checkpoint
    values = load_file(original)
    generator = torch.Generator().manual_seed(3)
    tuned = dict(values)
    for name in values:
        if name.endswith(TUNED):
            up, down = torch.randn(len(values[name]), 1, generator=generator), torch.ones(1, values[name].shape[1])
            tuned[name] = values[name] + 0.1 * up @ down
    save_file(tuned, tmp_path / "tuned.safetensors")
    lora, said = extract_lora(
        ExtractRequest(tuned="tuned", original="original", rank=1, save_as="float32"),
        tmp_path / "tuned.safetensors",
        original,
        MergeTarget(tmp_path, "lora", "0123456789abcdef"),
        lambda share: None,
    )
    assert said == ()  # The text encoder is in the LoRA, or in no file of the two.
    changed = [name for name in values if not torch.equal(values[name], tuned[name])]
    assert changed and len([name for name in load_file(lora) if name.endswith(".alpha")]) == len(changed)
    bases = {"Z-Image": "Z-Image", "Flux": "Flux", "klein": "Flux.2 klein 4B"}
    # By the queries of a few double blocks in diffusers' names alone nothing tells klein.
    assert read_network(lora).base == ("" if (family, layout) == ("klein", "diffusers") else bases[family])
    found = load_file(merged(tmp_path, original, loras=(lora,)))
    for name in values:
        # Of its largest numbers a hundredth is cut off.
        left = float((found[name].float() - tuned[name].float()).norm())
        assert left <= 0.5 * float((tuned[name].float() - values[name].float()).norm()), name


@pytest.mark.parametrize(("first", "second"), [("Z-Image", "klein"), ("klein", "SD1"), ("SD1", "Z-Image")])
def test_another_family_is_refused_both_ways_and_nothing_is_written(
    files: dict[str, Path], first: str, second: str, tmp_path: Path
) -> None:
    for a, b in ((first, second), (second, first)):
        with pytest.raises(CheckpointError) as refused:
            merged(tmp_path, files[a], files[b])
        said = str(refused.value)
        assert said.startswith(files[b].name) and said.endswith("only checkpoints of one family can be merged.")
        with pytest.raises(CheckpointError, match="only checkpoints of one family can be merged"):
            request = ExtractRequest(tuned="a", original="b")
            extract_lora(request, files[a], files[b], MergeTarget(tmp_path, "x", "0" * 16), lambda share: None)
    assert not list(tmp_path.iterdir())


def test_a_lora_of_another_family_is_refused_and_nothing_is_written(files: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "loras"
    folder.mkdir()
    save_file(z_image_lora(), folder / "Z-Image.safetensors")
    save_file(flux2_lora(), folder / "klein.safetensors")
    write_lora(folder / "SD1.safetensors")
    for family, checkpoint in files.items():
        for other in sorted(files.keys() - {family}):
            with pytest.raises(CheckpointError, match=rf"No layer of {other}\.safetensors .* in {checkpoint.name}"):
                merged(tmp_path, checkpoint, loras=(folder / f"{other}.safetensors",))
    assert [path.name for path in tmp_path.iterdir()] == ["loras"]


def test_what_has_no_place_or_no_meaning_there_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    apart = write_z_image(made, "diffusers").checkpoint
    scaled = write_z_image(made / "scaled", "split", modules=make_z_image(1), scaled_fp8=True).checkpoint
    save_file(z_image_lora(), lora := made / "lora.safetensors")
    own = files["Z-Image"]
    blocks = ",".join(["0.5"] * 26)
    for paths, more, sentence in (
        ((own, apart), {}, "lacks .* their layouts differ"),
        ((own, scaled), {}, "keeps its weights in few bits with scales beside them"),
        ((scaled,), {"loras": (lora,)}, "keeps its weights in few bits with scales beside them"),
        ((own, own), {"block_weights": blocks}, "has none of the blocks that weights by block are for"),
        ((own,), {"vae": write_vae(made / "vae.safetensors")}, "whose VAE is a file of its own"),
    ):
        arguments: dict[str, Any] = more
        with pytest.raises(CheckpointError, match=sentence):
            merged(tmp_path, *paths, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
