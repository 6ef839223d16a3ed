"""Merged checkpoints against the formulas in float64, with what files of people are like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from modules.files import SaveError, remove_stale_temporaries
from modules.parameters.merger_request import MergeRequest
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.sources import SourceModel
from tests.checkpoints import write_tiny_checkpoint, write_vae

UNET = "model.diffusion_model."
FIRST = f"{UNET}input_blocks.0.0.weight"
TEXT = "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
IDS = "cond_stage_model.transformer.text_model.embeddings.position_ids"
SHAPES = {
    FIRST: (8, 4, 3, 3),
    f"{UNET}time_embed.0.weight": (16, 8),
    f"{UNET}input_blocks.1.1.proj_in.weight": (8, 8, 1, 1),
    f"{UNET}middle_block.0.in_layers.2.weight": (8, 8, 3, 3),
    f"{UNET}output_blocks.3.1.proj_in.weight": (8, 8, 1, 1),
    f"{UNET}out.2.weight": (4, 8, 3, 3),
    TEXT: (16, 4),
    "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
}
TYPES = {torch.float16: 2**-11, torch.bfloat16: 2**-8, torch.float32: 2**-23}


def write(
    path: Path,
    seed: int,
    dtype: torch.dtype = torch.float32,
    extra: Mapping[str, Tensor] | None = None,
    metadata: dict[str, str] | None = None,
    without: tuple[str, ...] = (),
) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in SHAPES.items() if name not in without
    }
    tensors |= {IDS: torch.arange(77)[None], "alphas_cumprod": torch.full((10,), float(seed))}
    save_file(tensors | dict(extra or {}), path, metadata=metadata)
    return path


def merged(
    tmp_path: Path, *paths: Path, vae: Path | None = None, name: str = "merged", **fields: Any
) -> tuple[Path, tuple[str, ...]]:
    method = ("No interpolation", "Weighted sum", "Add difference")[len(paths) - 1]
    request = MergeRequest.model_validate({"interp_method": method} | fields)
    sources = [SourceModel(path, path.stem, f"sha of {path.stem}", f"old {path.stem}") for path in paths]
    return merge_checkpoints(request, sources, vae, MergeTarget(tmp_path, name, "0123456789abcdef"), lambda share: None)


def close(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> bool:
    """Whether values are the exact ones rounded to the type: by half a unit in its last place, and float32's steps."""
    error = (found.double() - wanted).abs()
    return found.dtype == dtype and bool((error <= wanted.abs() * TYPES[dtype] * 1.01 + 1e-6).all())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("count", [2, 3])
def test_a_merge_is_the_formula(tmp_path: Path, dtype: torch.dtype, count: int) -> None:
    paths = [write(tmp_path / f"{letter}.safetensors", n, dtype) for n, letter in enumerate("abc"[:count])]
    path, notices = merged(tmp_path, *paths, multiplier=0.3)
    a, b, *c = (load_file(one) for one in paths)
    result = load_file(path)
    assert notices == () and list(result) and result.keys() == a.keys()
    for name in SHAPES:
        if c:
            wanted = a[name].double() + 0.3 * (b[name].double() - c[0][name].double())
        else:
            wanted = 0.7 * a[name].double() + 0.3 * b[name].double()
        assert close(result[name], wanted, dtype), name
    # Positions and constants of the noise schedule are A's.
    assert torch.equal(result[IDS], a[IDS]) and torch.equal(result["alphas_cumprod"], a["alphas_cumprod"])


def test_sources_of_mixed_types_are_saved_in_the_type_that_holds_both(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", 0, torch.float16)
    b = write(tmp_path / "b.safetensors", 1, torch.bfloat16)
    result = load_file(merged(tmp_path, a, b, multiplier=0.25)[0])
    wanted = 0.75 * load_file(a)[TEXT].double() + 0.25 * load_file(b)[TEXT].double()
    assert close(result[TEXT], wanted, torch.float32)
    for precision, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        path, _ = merged(tmp_path, a, b, multiplier=0.25, save_as=precision, name=precision)
        half = load_file(path)
        assert close(half[TEXT], wanted, dtype)
        assert half["alphas_cumprod"].dtype == torch.float32 and half[IDS].dtype == torch.int64


def test_without_interpolation_a_file_is_converted_whole(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", 0)
    result = load_file(merged(tmp_path, a, save_as="float16")[0])
    assert all(torch.equal(result[name], load_file(a)[name].half()) for name in SHAPES)
    same = load_file(merged(tmp_path, a, name="same")[0])
    assert all(torch.equal(same[name], value) for name, value in load_file(a).items())


def test_a_value_too_large_for_float16_is_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", 0, extra={f"{UNET}input_blocks.2.0.bias": torch.tensor([7e4])})
    with pytest.raises(CheckpointError, match=r"input_blocks\.2\.0\.bias holds values beyond float16's"):
        merged(tmp_path, a, save_as="float16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors"]
    assert load_file(merged(tmp_path, a, save_as="bfloat16")[0])[f"{UNET}input_blocks.2.0.bias"].isfinite().all()


def test_what_only_one_file_has(tmp_path: Path) -> None:
    only_a, only_b = f"{UNET}input_blocks.9.0.bias", f"{UNET}input_blocks.8.0.bias"
    a = write(tmp_path / "a.safetensors", 0, extra={only_a: torch.ones(3)})
    b = write(tmp_path / "b.safetensors", 1, extra={only_b: torch.ones(3)})
    c = write(tmp_path / "c.safetensors", 2, without=(TEXT,))
    path, notices = merged(tmp_path, a, b)
    result = load_file(path)
    assert torch.equal(result[only_a], torch.ones(3)) and only_b not in result
    assert notices == (f"Left out: 1 of b.safetensors's tensors that a.safetensors lacks, first {only_b}.",)
    # Where B's has nothing to be compared with, the difference is nothing.
    result = load_file(merged(tmp_path, a, b, c, name="difference")[0])
    assert torch.equal(result[TEXT], load_file(a)[TEXT])
    assert not torch.equal(result[FIRST], load_file(a)[FIRST])


@pytest.mark.parametrize(("channels", "suffix"), [(9, ".inpainting"), (8, ".instruct-pix2pix")])
def test_a_wider_first_convolution_is_merged_as_far_as_the_other_goes(
    tmp_path: Path, channels: int, suffix: str
) -> None:
    wide = torch.randn(8, channels, 3, 3)
    a = write(tmp_path / "a.safetensors", 0, extra={FIRST: wide})
    b, c = (write(tmp_path / f"{n}.safetensors", n) for n in (1, 2))
    path, _ = merged(tmp_path, a, b, c, multiplier=1.0)
    assert path.name == f"merged{suffix}.safetensors"
    result = load_file(path)[FIRST]
    difference = load_file(b)[FIRST].double() - load_file(c)[FIRST].double()
    assert close(result[:, :4], wide[:, :4].double() + difference, torch.float32)
    assert torch.equal(result[:, 4:], wide[:, 4:])
    recipe = json.loads(_metadata(path)["sd_merge_recipe"])
    assert (recipe["is_inpainting"], recipe["is_instruct_pix2pix"]) == (channels == 9, channels == 8)
    with pytest.raises(CheckpointError, match=r"choose the former as primary model \(A\)"):
        merged(tmp_path, b, a)
    # Two of a kind are merged whole, and are no other kind than they were.
    other = write(tmp_path / "other.safetensors", 3, extra={FIRST: wide + 1})
    path, _ = merged(tmp_path, a, other, multiplier=0.5)
    assert path.name == "merged.safetensors" and close(load_file(path)[FIRST], wide.double() + 0.5, torch.float32)


def test_files_that_are_not_of_one_family_or_shape(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", 0)
    odd = write(tmp_path / "odd.safetensors", 1, extra={TEXT: torch.zeros(3, 4)})
    vae = write_vae(tmp_path / "vae.safetensors")
    sdxl = write(
        tmp_path / "xl.safetensors",
        1,
        extra={
            f"{UNET}label_emb.0.0.weight": torch.zeros(2, 2),
            "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": torch.zeros(2, 2),
            "conditioner.embedders.1.model.token_embedding.weight": torch.zeros(2, 2),
        },
    )
    # Of the same layout, though another family: the difference of two is added to a third as for inpainting.
    cosxl = write(tmp_path / "cosxl.safetensors", 2, extra=load_file(sdxl) | {"edm_vpred.sigma_max": torch.ones(1)})
    assert "edm_vpred.sigma_max" in load_file(merged(tmp_path, cosxl, sdxl, sdxl, name="cos")[0])
    for other, sentence in (
        (odd, "odd.safetensors can't be merged with a.safetensors: .* has the shape"),
        (vae, "vae.safetensors is not a checkpoint but a VAE"),
        (sdxl, "only checkpoints of one family can be merged"),
    ):
        with pytest.raises(CheckpointError, match=sentence):
            merged(tmp_path, a, other)
    assert not (tmp_path / "merged.safetensors").exists()


def test_block_weights_stand_in_the_place_of_the_multiplier(tmp_path: Path) -> None:
    a, b = (write(tmp_path / f"{n}.safetensors", n) for n in (0, 1))
    weights = [n / 25 for n in range(26)]  # BASE, IN00 to IN11, M00, OUT00 to OUT11
    path, _ = merged(tmp_path, a, b, multiplier=0.9, block_weights=",".join(map(str, weights)))
    shares = {
        FIRST: 1 / 25,
        f"{UNET}time_embed.0.weight": 1 / 25,
        f"{UNET}input_blocks.1.1.proj_in.weight": 2 / 25,
        f"{UNET}middle_block.0.in_layers.2.weight": 13 / 25,
        f"{UNET}output_blocks.3.1.proj_in.weight": 17 / 25,
        # With the last block that the checkpoint has: OUT03, in SDXL OUT08, whatever the list goes on with.
        f"{UNET}out.2.weight": 17 / 25,
        TEXT: 0.0,
        "first_stage_model.decoder.conv_in.weight": 0.0,
    }
    one, other, result = load_file(a), load_file(b), load_file(path)
    for name, share in shares.items():
        assert close(result[name], (1 - share) * one[name].double() + share * other[name].double(), torch.float32), name
    # Without BASE the rest follows the multiplier.
    path, _ = merged(tmp_path, a, b, name="25", multiplier=0.9, block_weights=" ".join(map(str, weights[1:])))
    result = load_file(path)
    assert close(result[TEXT], 0.1 * one[TEXT].double() + 0.9 * other[TEXT].double(), torch.float32)
    assert close(result[FIRST], 0.96 * one[FIRST].double() + 0.04 * other[FIRST].double(), torch.float32)


def test_a_vae_is_baked_in_and_tensors_are_discarded(tmp_path: Path) -> None:
    a = write_tiny_checkpoint(tmp_path / "a.safetensors", seed=1)
    bare = write_tiny_checkpoint(tmp_path / "bare.safetensors", seed=1, vae=False)
    vae = write_vae(tmp_path / "vae.safetensors", seed=9)
    values = load_file(vae)
    for source in (a, bare):
        path, _ = merged(tmp_path, source, vae=vae, bake_in_vae="vae", name=f"baked {source.stem}")
        result = load_file(path)
        baked = {name for name in result if name.startswith("first_stage_model.")}
        assert len(baked) > 50
        assert all(torch.equal(result[name], values[name.removeprefix("first_stage_model.")]) for name in baked)
    path, _ = merged(tmp_path, a, vae=vae, bake_in_vae="vae", discard_weights=r"^first_stage|\.1\.bias$", name="less")
    assert not any(name.startswith("first_stage") or name.endswith(".1.bias") for name in load_file(path))
    with pytest.raises(CheckpointError, match="Nothing is left to save"):
        merged(tmp_path, a, discard_weights=".", name="nothing")


def test_metadata_of_the_sources_a_box_and_the_recipe(tmp_path: Path) -> None:
    earlier = json.dumps({"old": {"name": "old", "legacy_hash": "1", "sd_merge_recipe": None}})
    a = write(tmp_path / "a.safetensors", 0, metadata={"author": "a", "only": "a", "sd_merge_models": earlier})
    b = write(tmp_path / "b.safetensors", 1, metadata={"author": "b", "sd_merge_recipe": '{"type": "webui"}'})
    path, _ = merged(tmp_path, a, b, metadata_json='{"title": "ours", "tags": ["x"]}', custom_name="mine")
    found = _metadata(path)
    assert (found["author"], found["only"], found["title"], found["tags"]) == ("b", "a", "ours", '["x"]')
    assert json.loads(found["sd_merge_recipe"]) == {
        "type": "webui",
        "primary_model_hash": "sha of a",
        "secondary_model_hash": "sha of b",
        "tertiary_model_hash": None,
        "interp_method": "Weighted sum",
        "multiplier": 0.3,
        "save_as_half": False,
        "custom_name": "mine",
        "config_source": 0,
        "bake_in_vae": "None",
        "discard_weights": "",
        "is_inpainting": False,
        "is_instruct_pix2pix": False,
    }
    assert json.loads(found["sd_merge_models"]) == {
        "old": {"name": "old", "legacy_hash": "1", "sd_merge_recipe": None},
        "sha of a": {"name": "a", "legacy_hash": "old a", "sd_merge_recipe": None},
        "sha of b": {"name": "b", "legacy_hash": "old b", "sd_merge_recipe": {"type": "webui"}},
    }
    off: dict[str, Any] = {"copy_metadata_fields": False, "add_merge_recipe": False}
    assert _metadata(merged(tmp_path, a, b, name="box", metadata_json='{"x": "y"}', **off)[0]) == {
        "x": "y",
        "format": "pt",
    }
    assert _metadata(merged(tmp_path, a, b, name="none", save_metadata=False)[0]) == {"format": "pt"}


def test_the_config_beside_a_source_is_copied(tmp_path: Path) -> None:
    a, b = (write(tmp_path / f"{letter}.safetensors", n) for n, letter in enumerate("ab"))
    for source, text in ((0, "of a"), (1, "of b"), (2, None), (3, None)):
        (tmp_path / "b.yaml").write_text("of b")
        (tmp_path / "a.yaml").write_text("of a")
        path, notices = merged(tmp_path, a, b, name=f"from {source}", config_source=source)
        config = path.with_suffix(".yaml")
        assert notices == () and (config.read_text() if config.exists() else None) == text
    (tmp_path / "a.yaml").unlink()
    assert merged(tmp_path, a, b, name="first")[0].with_suffix(".yaml").read_text() == "of b"
    (tmp_path / "taken.yaml").write_text("mine")
    assert merged(tmp_path, a, b, name="taken")[1] == ("b.yaml was not copied: taken.yaml is there already.",)


def test_a_pickle_is_merged_like_any_other(tmp_path: Path) -> None:
    a = write_tiny_checkpoint(tmp_path / "a.safetensors", seed=1, dtype="fp32")
    b = write_tiny_checkpoint(tmp_path / "b.ckpt", seed=2, dtype="fp32")
    tensors = torch.load(b, weights_only=True)["state_dict"]
    result = load_file(merged(tmp_path, a, b, multiplier=0.5)[0])
    assert close(result[FIRST], (load_file(a)[FIRST].double() + tensors[FIRST].double()) / 2, torch.float32)


def test_nothing_is_written_over_and_nothing_half_is_left(tmp_path: Path) -> None:
    a, b = (write(tmp_path / f"{n}.safetensors", n) for n in (0, 1))
    (tmp_path / "merged.safetensors").write_bytes(b"mine")
    with pytest.raises(SaveError, match="a file of that name is already in"):
        merged(tmp_path, a, b)
    assert (tmp_path / "merged.safetensors").read_bytes() == b"mine"

    def stop(share: float) -> None:
        assert (tmp_path / ".saving-0123456789abcdef.tmp").exists()
        if share > 0.5:
            raise _Stopped

    request = MergeRequest(interp_method="No interpolation")
    with pytest.raises(_Stopped):
        merge_checkpoints(
            request, [SourceModel(a, "a", None, None)], None, MergeTarget(tmp_path, "x", "0123456789abcdef"), stop
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.safetensors", "1.safetensors", "merged.safetensors"]
    assert remove_stale_temporaries(tmp_path, older_than=0) == 0


def test_a_full_disk_is_said_before_anything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = write(tmp_path / "a.safetensors", 0)
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("modules.weights.merging.safetensors_writer.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(SaveError, match=r"the disk of .* is full; free some space and try again"):
        merged(tmp_path, a)


@pytest.mark.skipif(not Path("/proc").exists(), reason="only Linux limits the files of a process")
def test_a_disk_that_fills_up_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    a = write(tmp_path / "a.safetensors", 0)
    process = psutil.Process()
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (a.stat().st_size // 2, before[1]))
    try:
        with pytest.raises(SaveError, match=r"^merged\.safetensors was not saved in "):
            merged(tmp_path, a)
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


class _Stopped(Exception):
    pass


def _metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())
