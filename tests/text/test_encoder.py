"""Text to conditioning on a toy text encoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from modules.parameters.job_options import EncodingOptions
from modules.prompt import clip_tokenizer, plan_conditioning
from modules.text import encoder as encoder_module
from modules.text.emphasis import apply_emphasis
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import TINY_SDXL, write_tiny_checkpoint


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> PromptEncoder:
    torch.set_num_threads(1)
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    return PromptEncoder(model, clip_tokenizer())


def test_a_text_takes_77_vectors_for_each_chunk(encoder: PromptEncoder) -> None:
    width = encoder.encode(("cat",), EncodingOptions()).context.shape[-1]
    assert encoder.encode(("cat",), EncodingOptions()).context.shape == (1, 77, width)
    assert encoder.encode(("cat BREAK dog BREAK sun",), EncodingOptions()).context.shape == (1, 231, width)


def test_texts_of_one_schedule_are_filled_up_to_the_longest(encoder: PromptEncoder) -> None:
    encoded = encoder.encode(("cat", "cat BREAK dog"), EncodingOptions()).context
    assert encoded.shape[1] == 154
    empty = encoder.encode(("",), EncodingOptions()).context
    assert torch.allclose(encoded[0, 77:], empty[0], atol=1e-6)


def test_clip_skip_takes_an_earlier_layer_through_the_final_norm(encoder: PromptEncoder) -> None:
    last = encoder.encode(("cat",), EncodingOptions(clip_skip=1)).context
    assert not torch.allclose(last, encoder.encode(("cat",), EncodingOptions(clip_skip=2)).context)


def test_a_clip_skip_deeper_than_the_encoder_uses_its_first_layer(encoder: PromptEncoder) -> None:
    deepest = encoder.encode(("cat",), EncodingOptions(clip_skip=12)).context
    assert torch.isfinite(deepest).all()


def test_an_encoding_is_remembered(encoder: PromptEncoder) -> None:
    first = encoder.encode(("a remembered cat",), EncodingOptions()).context
    assert encoder.encode(("a remembered cat",), EncodingOptions()).context is first
    assert encoder.encode(("a remembered cat",), EncodingOptions(clip_skip=2)).context is not first
    encoder.forget()
    assert encoder.encode(("a remembered cat",), EncodingOptions()).context is not first


def test_cached_encodings_are_bounded_in_bytes(encoder: PromptEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    one = encoder.encode(("cat",), EncodingOptions()).context
    size = one.numel() * one.element_size()
    monkeypatch.setattr(encoder_module, "CACHE_BYTES", 3 * size)
    encoder.forget()
    assert encoder.cached_bytes == 0
    made = [encoder.encode((f"cat {number}",), EncodingOptions()).context for number in range(5)]
    assert encoder.cached_bytes == 3 * size
    again = [encoder.encode((f"cat {number}",), EncodingOptions()).context for number in (2, 3, 4)]
    assert all(first is second for first, second in zip(made[2:], again, strict=True))
    assert encoder.encode(("cat 0",), EncodingOptions()).context is not made[0]
    # One that is larger than all of them may be is made each time, and throws none out.
    large = "cat BREAK dog BREAK sun BREAK sea"
    assert (
        encoder.encode((large,), EncodingOptions()).context is not encoder.encode((large,), EncodingOptions()).context
    )
    assert encoder.cached_bytes == 3 * size
    # A longer one takes the place of several.
    encoder.encode(("cat BREAK dog",), EncodingOptions())
    assert encoder.cached_bytes == 3 * size
    encoder.forget()
    assert encoder.cached_bytes == 0


def test_original_emphasis_keeps_the_mean() -> None:
    hidden = torch.randn(2, 77, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    multipliers = torch.ones(2, 77)
    multipliers[0, 3:6] = 1.5
    weighted = apply_emphasis(hidden, multipliers, "Original")
    assert weighted.mean() == pytest.approx(float(hidden.mean()), rel=1e-4)
    assert not torch.allclose(weighted, hidden)


def test_no_norm_multiplies_and_nothing_else() -> None:
    hidden, multipliers = torch.ones(1, 77, 4), torch.full((1, 77), 1.2)
    assert torch.allclose(apply_emphasis(hidden, multipliers, "No norm"), torch.full((1, 77, 4), 1.2))


@pytest.mark.parametrize("mode", ["Ignore", "None"])
def test_other_modes_leave_the_encoding_alone(mode: str) -> None:
    hidden = torch.randn(1, 77, 4)
    assert apply_emphasis(hidden, torch.full((1, 77), 1.2), mode) is hidden


@pytest.fixture
def with_ink(encoder: PromptEncoder) -> Iterator[Any]:
    """The encoder with one textual inversion of two vectors, and without it after that."""
    vectors = torch.randn(2, 64, generator=torch.Generator().manual_seed(3))
    encoder.begin({"ink": (vectors,)})
    yield vectors
    encoder.begin({})


def test_a_textual_inversion_stands_where_its_name_stood(encoder: PromptEncoder, with_ink: Any) -> None:
    with_embedding = encoder.encode(("a ink cat",), EncodingOptions()).context[0]
    assert list(encoder.embeddings_used) == ["ink"]
    encoder.begin({})
    plain = encoder.encode(("a ink cat",), EncodingOptions()).context[0]
    # The encoder looks back only: what stands before the name stays as it was.
    assert torch.allclose(with_embedding[:2], plain[:2], atol=1e-5)
    assert not torch.allclose(with_embedding[2:], plain[2:], atol=1e-3)
    assert list(encoder.embeddings_used) == []


def test_the_vectors_of_a_word_are_the_word(encoder: PromptEncoder) -> None:
    """A textual inversion that holds a word's own vector changes nothing."""
    (token,) = clip_tokenizer().encode("cat")
    table = encoder._encoders[0]._model.get_input_embeddings().weight
    assert isinstance(table, torch.Tensor)
    own = table[token : token + 1].detach().float()
    plain = encoder.encode(("a cat on a beach",), EncodingOptions()).context
    encoder.begin({"ink": (own,)})
    for options in (EncodingOptions(), EncodingOptions(old_emphasis=True)):
        assert torch.allclose(encoder.encode(("a ink on a beach",), options).context, plain, atol=1e-5)
    encoder.begin({})


def test_each_encoder_of_sdxl_takes_its_own_vectors_of_a_textual_inversion(tmp_path: Path) -> None:
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "xl.safetensors", architecture=TINY_SDXL))
    encoder, first = PromptEncoder(model, clip_tokenizer()), TINY_SDXL.text_widths[0]
    (token,) = clip_tokenizer().encode("cat")
    own = []
    for one in encoder._encoders:
        table = one._model.get_input_embeddings().weight
        assert isinstance(table, torch.Tensor)
        own.append(table[token : token + 1].detach().float())

    def encoded(text: str) -> tuple[torch.Tensor, torch.Tensor]:
        made = encoder.encode((text,), EncodingOptions())
        assert made.pooled is not None
        return made.context, made.pooled

    context, pooled = encoded("a cat on a beach")
    encoder.begin({"ink": (own[0], own[1])})
    context_of_vectors, pooled_of_vectors = encoded("a ink on a beach")
    assert torch.allclose(context_of_vectors, context, atol=1e-5) and torch.allclose(
        pooled_of_vectors, pooled, atol=1e-5
    )
    encoder.begin({"ink": (own[0], -own[1])})
    changed, pooled_changed = encoded("a ink on a beach")
    assert torch.allclose(changed[..., :first], context[..., :first], atol=1e-5)
    assert not torch.allclose(changed[..., first:], context[..., first:], atol=1e-3)
    assert not torch.allclose(pooled_changed, pooled, atol=1e-3)


def test_an_encoding_is_remembered_until_the_textual_inversions_change(encoder: PromptEncoder, with_ink: Any) -> None:
    embeddings = {"ink": (with_ink,)}
    encoder.begin(embeddings)
    first = encoder.encode(("ink",), EncodingOptions()).context
    encoder.begin(embeddings)
    assert list(encoder.embeddings_used) == []
    assert encoder.encode(("ink",), EncodingOptions()).context is first
    assert list(encoder.embeddings_used) == ["ink"]
    encoder.begin({"ink": (with_ink * 2,)})
    assert not torch.equal(encoder.encode(("ink",), EncodingOptions()).context, first)


def test_the_mean_is_taken_over_all_texts_of_a_schedule_repeated_ones_included(encoder: PromptEncoder) -> None:
    weighed, plain = "a (red:3) cat", "a dog on a beach, blue sky"
    once = encoder.encode((weighed, plain), EncodingOptions()).context
    twice = encoder.encode((weighed, plain, weighed), EncodingOptions()).context
    assert torch.equal(twice[0], twice[2])
    assert twice.shape[0] == 3
    raw = encoder.encode((weighed, plain, weighed), EncodingOptions(emphasis="No norm")).context
    neutral = encoder.encode((weighed, plain, weighed), EncodingOptions(emphasis="Ignore")).context
    assert torch.allclose(twice, raw * (neutral.mean() / raw.mean()), rtol=1e-4, atol=1e-5)
    assert once.shape[0] == 2


def test_a_schedule_hands_every_text_to_the_encoder_repeated_ones_too() -> None:
    plan = plan_conditioning(["a [b|c]"], [""], 4)
    assert plan.pictures[0].parts[0].texts == ("a b", "a c", "a b", "a c")
