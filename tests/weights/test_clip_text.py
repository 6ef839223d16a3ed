"""The half of a CLIP that reads texts, in the names that files have, against transformers' own model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from modules.catalogue.clip_files import ClipFiles
from modules.catalogue.model_errors import ModelFileError
from modules.files import found_file
from modules.prompt import clip_tokenizer
from modules.weights.clip_text import read_text_half
from tests.checkpoints import write_tensors
from tests.clips import make_clip, write_clip


def openclip_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The half for texts as OpenCLIP names it."""
    named = {
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].t(),
    }
    for kind in ("weight", "bias"):
        named[f"ln_final.{kind}"] = state[f"text_model.final_layer_norm.{kind}"]
        for layer in range(2):
            own, theirs = f"text_model.encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
            named[f"{theirs}attn.in_proj_{kind}"] = torch.cat([state[f"{own}self_attn.{p}_proj.{kind}"] for p in "qkv"])
            parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
            for part, name in (parts | {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}).items():
                named[f"{theirs}{name}.{kind}"] = state[f"{own}{part}.{kind}"]
    return {name: value.clone().contiguous() for name, value in named.items()}


@pytest.mark.parametrize("openclip", [False, True])
@pytest.mark.parametrize("text", ["a red car", "", "ein Fuchs, " * 60])
def test_a_text_means_what_it_means_to_transformers(tmp_path: Path, openclip: bool, text: str) -> None:
    clip = make_clip()
    path = tmp_path / "clip.safetensors"
    if openclip:
        write_tensors(path, openclip_names(clip.state_dict()), {})
    else:
        write_clip(path, clip)
    ids = clip_tokenizer().encode(text)
    made = read_text_half(path, dtype=torch.float32).encode(ids)
    found = clip.get_text_features(input_ids=torch.tensor([[49406, *ids[:75], 49407]]))
    expected = found if isinstance(found, Tensor) else found.pooler_output
    torch.testing.assert_close(made, expected[0], rtol=0, atol=1e-5)


def test_halves_are_known_by_their_tensors_and_the_pair_that_can_do_most_is_taken(tmp_path: Path) -> None:
    clip = make_clip()
    seen = found_file(write_clip(tmp_path / "a.safetensors", clip, "vision_model.", "visual_projection."))
    other = found_file(write_clip(tmp_path / "b.safetensors", make_clip(width=16), "text_model.", "text_projection."))
    read = found_file(write_clip(tmp_path / "c.safetensors", clip, "text_model.", "text_projection."))
    whole = found_file(write_clip(tmp_path / "whole.safetensors", clip))
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 200)
    broken = found_file(tmp_path / "broken.safetensors")
    assert seen and other and read and whole and broken
    files = ClipFiles()
    assert files.chosen([broken, read]) is None
    for there, wanted in (([seen, other], None), ([seen, other, read], read), ([whole, broken], whole)):
        pair = files.chosen(there)
        assert pair is not None and pair.pictures is (whole if whole in there else seen) and pair.texts is wanted
    alone = found_file(write_clip(tmp_path / "d.safetensors", make_clip(width=16), "vision_model.", "visual_proj"))
    assert alone is not None and seen is not None
    # Another width reads nothing for this one; with its reader it is preferred to one without.
    pair = files.chosen([seen, alone, other])
    assert pair is not None and (pair.pictures, pair.texts) == (alone, other)


def test_a_file_without_that_half_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "seen.safetensors", make_clip(), "vision_model.", "visual_projection.")
    with pytest.raises(ModelFileError, match=r"seen.safetensors reads no texts"):
        read_text_half(path, dtype=torch.float32)
    state = make_clip().state_dict()
    del state["text_model.encoder.layers.1.mlp.fc2.bias"]
    cut = write_tensors(tmp_path / "cut.safetensors", {name: value.clone() for name, value in state.items()}, {})
    with pytest.raises(ModelFileError, match=r"cut.safetensors lacks 1 of the .* tensors of its reader of texts"):
        read_text_half(cut, dtype=torch.float32)
