"""Text to conditioning on a toy text encoder."""

from __future__ import annotations

import pytest
import torch

from modules.generation.conditioning import EncodingOptions, PromptEncoder, apply_emphasis
from modules.prompt import clip_tokenizer
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> PromptEncoder:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return PromptEncoder(model.text_encoder, clip_tokenizer())


def test_a_text_takes_77_vectors_for_each_chunk(encoder):
    width = encoder.encode(("cat",), EncodingOptions()).shape[-1]
    assert encoder.encode(("cat",), EncodingOptions()).shape == (1, 77, width)
    assert encoder.encode(("cat BREAK dog BREAK sun",), EncodingOptions()).shape == (1, 231, width)


def test_texts_of_one_schedule_are_filled_up_to_the_longest(encoder):
    encoded = encoder.encode(("cat", "cat BREAK dog"), EncodingOptions())
    assert encoded.shape[1] == 154
    empty = encoder.encode(("",), EncodingOptions())
    assert torch.allclose(encoded[0, 77:], empty[0], atol=1e-6)


def test_clip_skip_takes_an_earlier_layer_through_the_final_norm(encoder):
    last = encoder.encode(("cat",), EncodingOptions(clip_skip=1))
    assert not torch.allclose(last, encoder.encode(("cat",), EncodingOptions(clip_skip=2)))


def test_a_clip_skip_deeper_than_the_encoder_uses_its_first_layer(encoder):
    deepest = encoder.encode(("cat",), EncodingOptions(clip_skip=12))
    assert torch.isfinite(deepest).all()


def test_an_encoding_is_remembered(encoder):
    first = encoder.encode(("a remembered cat",), EncodingOptions())
    assert encoder.encode(("a remembered cat",), EncodingOptions()) is first
    assert encoder.encode(("a remembered cat",), EncodingOptions(clip_skip=2)) is not first


def test_original_emphasis_keeps_the_mean():
    hidden = torch.randn(2, 77, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    multipliers = torch.ones(2, 77)
    multipliers[0, 3:6] = 1.5
    weighted = apply_emphasis(hidden, multipliers, "Original")
    assert weighted.mean() == pytest.approx(float(hidden.mean()), rel=1e-4)
    assert not torch.allclose(weighted, hidden)


def test_no_norm_multiplies_and_nothing_else():
    hidden, multipliers = torch.ones(1, 77, 4), torch.full((1, 77), 1.2)
    assert torch.allclose(apply_emphasis(hidden, multipliers, "No norm"), torch.full((1, 77, 4), 1.2))


@pytest.mark.parametrize("mode", ["Ignore", "None"])
def test_other_modes_leave_the_encoding_alone(mode):
    hidden = torch.randn(1, 77, 4)
    assert apply_emphasis(hidden, torch.full((1, 77), 1.2), mode) is hidden
