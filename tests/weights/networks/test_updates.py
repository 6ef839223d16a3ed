"""ΔW of every kind: golden values, what merging adds, what stored types and shapes may differ, what is refused."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from modules.weights.checkpoint_errors import NetworkError
from modules.weights.networks.updates import RowsOf, WeightUpdate, layer_update
from tests.weights.networks.samples import CONV, KINDS, LINEAR, UP_DOWN, Parts, fill, number

# First six of multiplier · ΔW, its sum, its sum of squares; of A1111's own modules where they are right.
GOLDEN: dict[str, tuple[float, int | None, str]] = {
    "LoRA": (1, None, ".062500 .023750 -.072500 .090000 .051250 -.045000 -.230000 .200456"),
    "LoRA, dyn 1": (0.8, 1, ".072000 .009000 -.054000 .090000 .027000 -.036000 -.024000 .050172"),
    "LoCon": (1, None, ".090000 -.055000 -.142500 .115000 .027500 -.117500 -.035000 1.368200"),
    "CP": (1, None, ".024625 .023063 .001375 -.050500 .025563 .003875 -.003875 .074936"),
    "LoHa": (1, None, "-.002812 -.000653 -.011781 -.004500 -.001666 .000675 -.062400 .001226"),
    "LoHa Tucker": (1, None, ".001347 .003725 -.000053 -.000138 -.003361 -.001386 .000104 .000074"),
    "LoKr whole": (1, None, ".180000 .022500 .040000 .005000 -.100000 -.012500 .585000 .321600"),
    "LoKr w2 of two": (1, None, "-.023625 .003938 -.005250 .000875 .013125 -.002188 -.039375 .001813"),
    "LoKr both of two": (1, None, ".002625 -.000438 -.001969 .000328 -.006563 .001094 -.002953 .000064"),
    "LoKr conv": (1, None, "-.047250 .007875 .063000 -.063000 -.007875 .047250 -.044625 .131053"),
    "LoKr Tucker": (1, None, ".002362 -.014175 .023625 .007087 -.009450 -.025988 -.048344 .006429"),
    "IA3 output": (1, None, ".225000 .067500 -.090000 -.247500 .112500 -.045000 .105000 .394950"),
    "IA3 input": (1, None, ".225000 .015000 .050000 -.302500 .050000 .015000 -.837500 .294294"),
    "full": (0.5, None, "-.225000 -.050000 .125000 -.275000 -.100000 .075000 -.225000 .683125"),
    "GLoRA": (1, None, "-.051063 -.004563 -.019875 -.046688 -.000188 -.015500 -.165875 .126791"),
    "GLoRA, old naming": (1, None, "-.051063 -.004563 -.019875 -.046688 -.000188 -.015500 -.165875 .126791"),
    "OFT": (1, None, ".216495 -.075985 .022074 .137113 .065797 -.073863 .195694 .160164"),
    "OFT, constrained": (1, None, ".118812 -.046535 .015842 .088119 .034653 -.041584 .111881 .053366"),
    "BOFT": (1, None, ".255393 .000659 -.075754 -.388464 .165872 .082450 .610994 .439895"),
    "OFT, old LyCORIS": (1, None, ".036250 .000500 -.006500 -.025250 .015250 -.007500 .008250 .002712"),
    "DoRA of columns": (0.5, None, "-.122325 -.025078 .023464 .156543 -.037495 -.011939 -.411551 .246513"),
    "DoRA of rows": (1, None, "-.058832 -.011263 -.037140 .267492 -.003869 -.029747 -.668453 .438922"),
}


def update_of(parts: Parts) -> WeightUpdate:
    update = layer_update(parts).weight
    assert update is not None
    return update


@pytest.mark.parametrize("case", GOLDEN)
def test_the_golden_values(case: str) -> None:
    multiplier, dyn, expected = GOLDEN[case]
    parts, weight = KINDS[case.removesuffix(", dyn 1")]
    found = multiplier * update_of(parts).delta(weight, dyn)
    assert found.shape == weight.shape and found.dtype is torch.float32
    numbers = [*found.flatten()[:6], found.sum(), (found**2).sum()]
    assert torch.stack(numbers).tolist() == pytest.approx([float(text) for text in expected.split()], abs=1e-5)


def test_biases_and_norms_are_as_they_stand_in_the_file() -> None:
    for name in ("full", "norm"):
        parts, weight = KINDS[name]
        layer = layer_update(parts)
        assert isinstance(layer.bias, Tensor) and torch.equal(layer.bias, fill(3, (4,)))
        assert layer.weight is not None and torch.equal(layer.weight.delta(weight), fill(2, tuple(weight.shape)))
    only_bias = layer_update({"diff_b": fill(3, (4,))})
    assert only_bias.weight is None and only_bias.bias is not None
    of_peft = layer_update({**UP_DOWN, "up_bias": fill(3, (4,))})
    assert isinstance(of_peft.bias, Tensor) and torch.equal(of_peft.bias, 0.5 * fill(3, (4,)))


@pytest.mark.parametrize("name", KINDS)
@given(multiplier=st.floats(-2, 2), seed=st.integers(0, 100), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
@settings(max_examples=8, deadline=None)
def test_merging_adds_the_multiplied_update(name: str, multiplier: float, seed: int, dtype: torch.dtype) -> None:
    """Whatever the weight is, and whether its memory is laid out in its order or with channels last."""
    parts, sample = KINDS[name]
    stored = {part: tensor.to(dtype) if tensor.is_floating_point() else tensor for part, tensor in parts.items()}
    update = update_of(stored)
    weight = torch.randn(sample.shape, generator=torch.Generator().manual_seed(seed))
    expected = weight + multiplier * update.delta(weight)
    for merged in (weight.clone(), _laid_out_otherwise(weight)):
        update.merge_into(merged, multiplier)
        torch.testing.assert_close(merged, expected, atol=1e-5, rtol=1e-5)
    assert sum(tensor.numel() for tensor in update.tensors) > 0


def _laid_out_otherwise(weight: Tensor) -> Tensor:
    if weight.ndim == 4:
        return weight.clone(memory_format=torch.channels_last)
    return weight.t().contiguous().t()


@given(rank=st.integers(1, 4), rows=st.integers(1, 5), columns=st.integers(1, 5), dyn=st.none() | st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_two_and_four_axes_mix_freely(rank: int, rows: int, columns: int, dyn: int | None) -> None:
    up, down = torch.randn(rows, rank), torch.randn(rank, columns)
    used = rank if dyn is None else min(dyn, rank)
    expected = up[:, :used] @ down[:used] * (0.5 / rank)
    shapes = itertools.product((up, up[..., None, None]), (down, down[..., None, None]))
    for stored_up, stored_down in shapes:
        update = update_of({"up": stored_up, "down": stored_down, "alpha": number(0.5)})
        for weight in (torch.zeros(rows, columns), torch.zeros(rows, columns, 1, 1)):
            update.merge_into(weight, 1.0, dyn)
            torch.testing.assert_close(weight.view(rows, columns), expected)


def test_dyn_means_plain_low_rank_only() -> None:
    for name, (parts, weight) in KINDS.items():
        update = update_of(parts)
        changed = not torch.equal(update.delta(weight, 1), update.delta(weight))
        # DoRA sets the lengths of what its low-rank update leaves.
        assert changed == (name in ("LoRA", "LoCon", "old LyCORIS with a bias", "DoRA of columns", "DoRA of rows")), (
            name
        )


def test_a_scale_goes_before_alpha_and_a_missing_alpha_is_one() -> None:
    plain = {name: tensor for name, tensor in UP_DOWN.items() if name != "alpha"}
    product = fill(2, (4, 2)) @ fill(3, (2, 6))
    torch.testing.assert_close(update_of(plain).delta(LINEAR), product)
    torch.testing.assert_close(update_of({**UP_DOWN, "scale": number(3)}).delta(LINEAR), 3 * product)


@pytest.mark.parametrize("kernel", [(), (3, 3)])
@pytest.mark.parametrize(
    ("rows", "columns", "rank"), [(6, 4, 8), (3, 8, 4), (4, 8, 4), (8, 4, 4), (8, 4, 8), (5, 5, 3)]
)
def test_the_order_of_a_glora_is_known_whatever_its_rank(
    rows: int, columns: int, rank: int, kernel: tuple[int, ...]
) -> None:
    """A rank may be larger than what a layer takes, as in a UNet's first convolution, or as large as what it gives."""
    weight = torch.randn(rows, columns, *kernel)
    a1, a2, b1 = torch.randn(columns, rank), torch.randn(rank, columns), torch.randn(rows, rank)
    b2 = torch.randn(rank, columns, *kernel)
    expected = (b1 @ b2.flatten(1)).view_as(weight) + torch.einsum("oi...,ir,rj->oj...", weight, a1, a2)
    expected *= 2 / rank
    unit = (1,) * len(kernel)
    a1, a2, b1 = (one.view(*one.shape, *unit) for one in (a1, a2, b1))
    alpha = number(2)
    for parts in (
        {"a1": a1, "a2": a2, "b1": b1, "b2": b2, "alpha": alpha},
        {"a1": a2, "a2": a1, "b1": b2, "b2": b1, "alpha": alpha},
    ):
        torch.testing.assert_close(update_of(parts).delta(weight), expected)


def test_the_bias_of_old_files_is_scaled_too() -> None:
    found = update_of(KINDS["old LyCORIS with a bias"][0]).delta(LINEAR)
    torch.testing.assert_close(found, 0.5 * (fill(2, (4, 2)) @ fill(3, (2, 6)) + fill(9, (4, 6))))


def test_a_plain_update_changes_the_first_channels_of_an_inpainting_model() -> None:
    plain, wide = torch.zeros(3, 4, 3, 3), torch.zeros(3, 9, 3, 3)
    parts: Parts = {"up": fill(1, (3, 2, 1, 1)), "down": fill(2, (2, 4, 3, 3))}
    for update in (update_of(parts), update_of({"diff": fill(2, (3, 4, 3, 3))})):
        update.merge_into(plain.zero_(), 1.0)
        update.merge_into(wide.zero_(), 1.0)
        assert plain.any() and torch.equal(wide[:, :4], plain) and not wide[:, 4:].any()


@pytest.mark.parametrize("name", KINDS)
def test_shapes_that_do_not_fit_are_refused_and_change_nothing(name: str) -> None:
    parts, weight = KINDS[name]
    update = update_of(parts)
    for shape in ((5,), (7, 5), (6, 8), (5, 4, 3, 3)):
        if (shape[0], weight.ndim) == (5, 1):
            shape = (7,)
        wrong = torch.ones(shape)
        with pytest.raises(RuntimeError):
            update.delta(wrong)
        with pytest.raises(RuntimeError):
            update.merge_into(wrong, 1.0)
        assert torch.equal(wrong, torch.ones(shape))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"up": fill(1, (4, 2))}, "its parts up are of no known kind"),
        ({"weight": fill(1, (4,))}, "of no known kind"),
        ({"up": fill(1, (4, 2)), "down": fill(1, (2,))}, "its down is no matrix"),
        ({"up": fill(1, (4, 0)), "down": fill(1, (0, 6)), "alpha": number(1)}, "its rank is 0"),
        ({**UP_DOWN, "alpha": fill(1, (2,))}, "its alpha is no single number"),
        ({**UP_DOWN, "mid": fill(1, (2, 2))}, "four axes"),
        ({**UP_DOWN, "dora_scale": fill(1, (2, 3))}, "its dora_scale"),
        ({"oft_blocks": fill(1, (2, 3))}, "its rotations"),
        ({"diff": number(1)}, "its diff is a single number"),
    ],
)
def test_parts_that_make_no_update_are_refused(parts: Parts, complaint: str) -> None:
    with pytest.raises(NetworkError, match=complaint):
        layer_update(parts)


def test_the_magnitudes_of_peft_are_those_of_rows() -> None:
    parts, weight = KINDS["DoRA of rows"]
    magnitude = parts["dora_scale"].flatten()
    of_peft = {**UP_DOWN, "magnitude": magnitude}
    assert torch.equal(update_of(of_peft).delta(weight), update_of(parts).delta(weight))
    conv = {"up": fill(5, (3, 2, 1, 1)), "down": fill(6, (2, 2, 3, 3)), "magnitude": torch.ones(1, 3, 1, 1)}
    changed = CONV + update_of(conv).delta(CONV)
    torch.testing.assert_close(changed.flatten(1).norm(dim=1), torch.ones(3))


def test_a_part_of_joined_rows_is_that_part_of_the_whole() -> None:
    generator = torch.Generator().manual_seed(1)
    up, down, weight = (torch.randn(shape, generator=generator) for shape in ((12, 2), (2, 5), (12, 5)))
    low_rank, parts, unequal = {"up": up, "down": down}, weight.chunk(3), (weight[:2], weight[2:4], weight[4:])
    drawn = {
        "plain": low_rank,
        "rows": low_rank | {"dora_scale": torch.rand(12, 1, generator=generator)},
        "columns": low_rank | {"dora_scale": torch.rand(1, 5, generator=generator)},
        # Blocks of six rows reach over the ends of parts of four.
        "rotations": {"oft_blocks": torch.randn(2, 6, 6, generator=generator)},
        "butterflies": {"oft_blocks": torch.randn(2, 6, 2, 2, generator=generator)},
        "older rotations": {"oft_r": torch.randn(2, 6, 6, generator=generator)},
        "columns of rotations": {
            "oft_blocks": torch.randn(2, 6, 6, generator=generator),
            "dora_scale": torch.rand(1, 5, generator=generator),
        },
    }
    for name, tensors in drawn.items():
        update = layer_update(tensors).weight
        assert update is not None
        rows = [RowsOf(update, index, 3, all_parts=lambda: parts).delta(part) for index, part in enumerate(parts)]
        torch.testing.assert_close(torch.cat(rows), update.delta(weight.clone()), atol=1e-6, rtol=1e-5)
        shares = [RowsOf(update, i, 6, all_parts=lambda: unequal, span=span) for i, span in enumerate((1, 1, 4))]
        rows = [share.delta(part) for share, part in zip(shares, unequal, strict=True)]
        torch.testing.assert_close(torch.cat(rows), update.delta(weight.clone()), atol=1e-6, rtol=1e-5)
        assert update.mixes_rows == (name not in ("plain", "rows"))
        if update.mixes_rows:
            with pytest.raises(RuntimeError, match="depends on all of them"):
                RowsOf(update, 0, 3).delta(parts[0])
