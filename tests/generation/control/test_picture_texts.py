"""Pictures among the words of a prompt: styles as tokens, and vectors in the place of SDXL's whole text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue import ModelFileError
from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.picture_texts import PictureTexts, Revision, ShownStyle, noised_vector
from modules.sampling import Conditioning, ConditionsAt, Part, StepConditions
from modules.weights.control.reading import read_control_model
from modules.weights.control.style import StyleAdapter
from tests.checkpoints import Tensors
from tests.control_models import write_control

WIDTH, TEXT, VECTOR = 32, 16, 12
TOKENS = torch.full((1, 2, TEXT), 3.0)
PICTURE = torch.full((1, VECTOR), 7.0)


def words(value: float) -> Conditioning:
    return Conditioning(torch.full((1, 5, TEXT), value), {"text_embeds": torch.full((1, VECTOR), value)})


STEP = StepConditions(((Part(words(1.0)), Part(words(2.0), 0.5)),), (words(-1.0),))


def shown(hook: PictureTexts) -> ConditionsAt:
    return hook.conditions(lambda prompts, negatives: lambda call: STEP)(["a"], [""])


def test_a_style_is_more_tokens_of_prompts_and_zeros_of_negative_ones_in_its_window() -> None:
    conditions = shown(PictureTexts([ShownStyle(TOKENS, (0.0, 0.4))], [], 10, 10))
    (parts,), (negative,) = conditions(0).positive, conditions(0).negative
    assert [part.conditioning.context.shape for part in parts] == [(1, 7, TEXT)] * 2 and parts[1].weight == 0.5
    assert (parts[1].conditioning.context[:, :5] == 2).all() and (parts[1].conditioning.context[:, 5:] == 3).all()
    assert (negative.context[:, :5] == -1).all() and not negative.context[:, 5:].any()
    assert conditions(1) is conditions(0), "its rows would be laid out anew in each step"
    # Outside of the window the texts are what they were.
    assert conditions(9).positive[0][0].conditioning.context.shape == (1, 5, TEXT)


def test_revisions_stand_for_the_whole_text_and_may_silence_the_words() -> None:
    spoken = shown(PictureTexts([], [Revision(PICTURE), Revision(PICTURE)], 10, 10))(0)
    assert (spoken.positive[0][0].conditioning.added["text_embeds"] == 14).all()
    assert not spoken.negative[0].added["text_embeds"].any()
    assert (spoken.positive[0][0].conditioning.context == 1).all() and (spoken.negative[0].context == -1).all()
    silent = shown(PictureTexts([], [Revision(PICTURE, ignores_prompt=True)], 10, 10))(0)
    assert not silent.positive[0][1].conditioning.context.any() and not silent.negative[0].context.any()
    assert (silent.positive[0][1].conditioning.added["text_embeds"] == 7).all()


def test_noise_of_a_revision_is_of_its_seed_and_replaces_the_picture() -> None:
    vector = torch.full((1, 4096), 5.0)
    assert torch.equal(noised_vector(vector, 0, 1), vector)
    half = noised_vector(vector, 0.5, 1)
    assert torch.equal(half, noised_vector(vector, 0.5, 1)) and not torch.equal(half, noised_vector(vector, 0.5, 2))
    # Half of the way cos((0.5 + 0.008) / 1.008 * 90 degrees) of the signal is left, at the end nothing.
    assert float(half.mean()) == pytest.approx(5 * 0.7025, abs=0.05)
    assert float(half.std()) == pytest.approx(0.7117, abs=0.05)
    whole = noised_vector(vector, 1, 1)
    assert abs(float(whole.mean())) < 0.1 and float(whole.std()) == pytest.approx(1, abs=0.05)


def style_tensors(seed: int = 4) -> Tensors:
    """A style adapter by the names of its authors."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / float(shape[-1] ** 0.5)

    tensors: Tensors = {"style_embedding": some(1, 8, WIDTH), "proj": some(WIDTH, TEXT)}
    names = ["ln_pre", "ln_post", *(f"transformer_layes.{layer}.ln_{n}" for layer in range(3) for n in (1, 2))]
    tensors |= {f"{name}.{kind}": some(WIDTH) + (kind == "weight") for name in names for kind in ("weight", "bias")}
    for layer in range(3):
        name = f"transformer_layes.{layer}"
        tensors |= {f"{name}.attn.in_proj_weight": some(3 * WIDTH, WIDTH), f"{name}.attn.in_proj_bias": some(3 * WIDTH)}
        tensors |= {f"{name}.attn.out_proj.weight": some(WIDTH, WIDTH), f"{name}.attn.out_proj.bias": some(WIDTH)}
        tensors |= {f"{name}.mlp.c_fc.weight": some(4 * WIDTH, WIDTH), f"{name}.mlp.c_fc.bias": some(4 * WIDTH)}
        tensors |= {f"{name}.mlp.c_proj.weight": some(WIDTH, 4 * WIDTH), f"{name}.mlp.c_proj.bias": some(WIDTH)}
    return tensors


def expected_tokens(tensors: Tensors, states: Tensor) -> Tensor:
    """By the formulas of the paper's code, tokens first as there."""

    def norm(x: Tensor, name: str) -> Tensor:
        return functional.layer_norm(x, (WIDTH,), tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    x = norm(torch.cat([states, tensors["style_embedding"].expand(len(states), -1, -1)], 1), "ln_pre").transpose(0, 1)
    for layer in range(3):
        name = f"transformer_layes.{layer}"
        attention = nn.MultiheadAttention(WIDTH, 8)
        attention.load_state_dict(
            {key.removeprefix(f"{name}.attn."): one for key, one in tensors.items() if key.startswith(f"{name}.attn.")}
        )
        own = norm(x, f"{name}.ln_1")
        x = x + attention(own, own, own)[0]
        inner = functional.linear(
            norm(x, f"{name}.ln_2"), tensors[f"{name}.mlp.c_fc.weight"], tensors[f"{name}.mlp.c_fc.bias"]
        )
        inner = inner * torch.sigmoid(1.702 * inner)
        x = x + functional.linear(inner, tensors[f"{name}.mlp.c_proj.weight"], tensors[f"{name}.mlp.c_proj.bias"])
    return norm(x.transpose(0, 1)[:, -8:], "ln_post") @ tensors["proj"]


def test_a_style_adapters_file_makes_the_tokens_of_its_authors(tmp_path: Path) -> None:
    tensors = style_tensors()
    path = write_control(tmp_path / "t2iadapter_style_sd14v1.pth", tensors)
    found = read_control_model(path, checkpoint=path, dtype=torch.float32)
    assert found.kind is ControlKind.STYLE and isinstance(found.module, StyleAdapter)
    assert (found.module.width, found.module.text_width) == (WIDTH, TEXT)
    states = torch.randn(2, 10, WIDTH, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(found.module(states), expected_tokens(tensors, states), rtol=0, atol=1e-5)
    del tensors["transformer_layes.1.mlp.c_proj.bias"]
    with pytest.raises(ModelFileError, match=r"lacks 1 of the .* transformer_layes\.1\.mlp\.c_proj\.bias"):
        short = write_control(tmp_path / "short.pth", tensors)
        read_control_model(short, checkpoint=short, dtype=torch.float32)
