"""Token merging: the matching against the paper in plain Python, and the UNet with and without it."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final, get_args

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from modules.generation import token_merging
from modules.generation.token_merging import Split, finest_blocks, match, tokens_merged
from modules.hardware.attention import AttentionChoice, AttentionName, apply_attention
from modules.hardware.compiling import run_plain
from modules.hardware.streaming import WeightStream
from modules.hardware.streams import SingleStream
from tests.amounts import some
from tests.checkpoints import Architecture, make_modules

CPU: Final = torch.device("cpu")
ON_A_CPU = tuple(name for name in get_args(AttentionName) if name != "xformers")


def tokens(rows: int, count: int, channels: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(rows, count, channels, generator=torch.Generator().manual_seed(seed))


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def groups_by_the_paper(picture: list[list[float]], height: int, width: int, merged: int) -> list[set[int]]:
    """Section 3 of arXiv:2210.09461 with the partition of arXiv:2303.17604, section 4.2, without its randomness.

    One token of each 2 × 2 square is a destination. Each of the others draws one edge, to the destination most similar
    to it; the `merged` most similar edges are kept, and what they connect is one token.
    """
    destinations = [
        row * width + column for row in range(0, height - height % 2, 2) for column in range(0, width - width % 2, 2)
    ]
    edges = []
    for source in range(height * width):
        if source not in destinations:
            score, goal = max((cosine(picture[source], picture[one]), one) for one in destinations)
            edges.append((score, source, goal))
    strongest = sorted(edges, reverse=True)[:merged]
    groups = [{goal, *(source for _, source, end in strongest if end == goal)} for goal in destinations]
    return groups + [{source} for _, source, _ in edges if source not in {source for _, source, _ in strongest}]


@given(height=st.integers(2, 7), width=st.integers(2, 7), merged=st.integers(1, 60), seed=st.integers(0, 99))
def test_what_is_merged_is_what_the_paper_merges(height: int, width: int, merged: int, seed: int) -> None:
    x = tokens(2, height * width, seed=seed)
    matching = match(x, Split.of(height, width, CPU), merged)
    for row in range(2):
        groups = groups_by_the_paper(x[row].double().tolist(), height, width, merged)
        assert matching.count == len(groups)
        found: dict[int, set[int]] = {}
        for token, place in enumerate(matching.place[row].tolist()):
            found.setdefault(place, set()).add(token)
        assert sorted(found.values(), key=min) == sorted(groups, key=min)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 9), (2, 5)])
def test_what_is_merged_is_a_mean_and_comes_back_to_all_of_its_tokens(height: int, width: int) -> None:
    count = height * width
    merged = count // 3
    matching = match(tokens(3, count), Split.of(height, width, CPU), merged)
    other = tokens(3, count, channels=4, seed=1)
    left = matching.merge(other)
    assert left.shape == (3, count - merged, 4)
    back = matching.unmerge(left)
    assert back.shape == other.shape
    for row, places in enumerate(matching.place.tolist()):
        sizes = Counter(places)
        for token, place in enumerate(places):
            together = [other[row, one] for one in range(count) if places[one] == place]
            assert len(together) == sizes[place]
            assert torch.allclose(back[row, token], torch.stack(together).mean(0), atol=1e-6)
            if sizes[place] == 1:
                assert torch.equal(back[row, token], other[row, token])


def test_similarities_are_worked_out_in_parts_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    x, split = tokens(2, 64), Split.of(8, 8, CPU)
    whole = match(x, split, 20)
    monkeypatch.setattr(token_merging, "_MOST_SCORES", 2 * 16 * 5)
    assert torch.equal(match(x, split, 20).place, whole.place)


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    return make_modules(Architecture(vocabulary=512), seed=2).unet


def run(unet: UNet2DConditionModel, ratio: float, size: tuple[int, int] = (8, 8), rows: int = 2) -> Tensor:
    latents, context = tokens(rows, 4 * size[0] * size[1], 1, seed=3), tokens(rows, 77, 64, seed=4)
    with torch.no_grad(), tokens_merged(unet, ratio, size, CPU):
        predicted: torch.Tensor = unet(latents.view(rows, 4, *size), 400, context).sample
        return predicted


def change(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


def hooks(unet: nn.Module) -> int:
    return sum(len(part._forward_pre_hooks) + len(part._forward_hooks) for part in unet.modules())


class Attended:
    """While open, counts how many tokens each self-attention of the UNet is given, by their number."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        attentions = [part for name, part in unet.named_modules() if name.endswith("attn1.to_q")]
        self.counts: list[int] = []
        self._handles = [part.register_forward_pre_hook(self._see) for part in attentions]

    def _see(self, _part: nn.Module, inputs: tuple[Tensor]) -> None:
        self.counts.append(inputs[0].shape[1])

    def __enter__(self) -> list[int]:
        return self.counts

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


@pytest.mark.parametrize(
    ("ratio", "size", "finest"),
    [
        (0.0, (8, 8), 64),
        (0.001, (8, 8), 64),
        (0.3, (8, 8), 64 - 19),
        (0.5, (8, 8), 32),
        (0.75, (8, 8), 16),
        (0.9, (8, 8), 16),
        (0.5, (7, 9), 63 - 31),
        (0.9, (7, 9), 12),
        (0.5, (1, 8), 8),
    ],
)
def test_attention_is_over_fewer_tokens_at_the_finest_level_only(
    unet: UNet2DConditionModel, ratio: float, size: tuple[int, int], finest: int
) -> None:
    """At most three of four tokens go; where the picture is one row there is nothing to merge with."""
    with Attended(unet) as before:
        run(unet, 0.0, size)
    with Attended(unet) as after:
        assert run(unet, ratio, size).isfinite().all()
    whole = size[0] * size[1]
    assert before.count(whole) == len(finest_blocks(unet)) > 1
    assert after == [finest if count == whole else count for count in before]
    assert min(before) < whole


def test_without_a_ratio_nothing_is_touched(unet: UNet2DConditionModel) -> None:
    with torch.no_grad():
        before = unet(torch.ones(1, 4, 8, 8), 1, torch.ones(1, 77, 64)).sample
    with tokens_merged(unet, 0.0, (8, 8), CPU) as acts, torch.no_grad():
        assert not acts and hooks(unet) == 0
        assert torch.equal(unet(torch.ones(1, 4, 8, 8), 1, torch.ones(1, 77, 64)).sample, before)


def test_after_the_pass_the_unet_is_as_before_whatever_happened(unet: UNet2DConditionModel) -> None:
    before = run(unet, 0.0)
    merged = run(unet, 0.5)
    with pytest.raises(RuntimeError), tokens_merged(unet, 0.5, (8, 8), CPU) as acts:
        assert acts and hooks(unet) == 3 * len(finest_blocks(unet))
        unet(torch.ones(1, 4, 8, 8), 1, torch.ones(1, 77, 65))
    assert hooks(unet) == 0
    assert torch.equal(run(unet, 0.0), before)
    assert torch.equal(run(unet, 0.5), merged)
    assert change(merged, before) > 1e-4


def test_more_merged_is_further_from_the_whole(unet: UNet2DConditionModel) -> None:
    whole = run(unet, 0.0, (16, 16))
    few, many = (change(run(unet, ratio, (16, 16)), whole) for ratio in (0.3, 0.75))
    assert 0 < few < many < 0.1


def test_where_each_square_is_of_one_colour_nothing_is_lost() -> None:
    """Three of four tokens go, and what is left weighs the same: attention over it is that over all."""
    squares = tokens(2, 24, 16).view(2, 4, 6, 16)
    x = squares.repeat_interleave(2, 1).repeat_interleave(2, 2).flatten(1, 2)
    matching = match(x, Split.of(8, 12, CPU), 72)
    left = matching.merge(x)
    assert left.shape == (2, 24, 16)
    merged = matching.unmerge(scaled_dot_product_attention(left, left, left))
    assert torch.allclose(merged, scaled_dot_product_attention(x, x, x), atol=1e-6)


@pytest.mark.parametrize("name", some(ON_A_CPU, 4))
@pytest.mark.parametrize("upcast", [False, True])
def test_every_attention_merges_alike(unet: UNet2DConditionModel, name: AttentionName, upcast: bool) -> None:
    apply_attention(unet, AttentionChoice("math", "a test says so"))
    try:
        expected = run(unet, 0.4)
        apply_attention(unet, AttentionChoice(name, "a test says so", query_chunk=16, key_chunk=20, upcast=upcast))
        assert torch.allclose(run(unet, 0.4), expected, atol=1e-5)
    finally:
        apply_attention(unet, AttentionChoice("sdp", "a test says so"))


def test_each_row_is_merged_by_itself(unet: UNet2DConditionModel) -> None:
    latents, context = tokens(3, 256, 1, seed=3).view(3, 4, 8, 8), tokens(3, 77, 64, seed=4)
    with torch.no_grad(), tokens_merged(unet, 0.4, (8, 8), CPU):
        together = unet(latents, 400, context).sample
        for row in range(3):
            alone = unet(latents[row : row + 1], 400, context[row : row + 1]).sample
            assert torch.allclose(together[row : row + 1], alone, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(dtype: torch.dtype) -> None:
    x = tokens(2, 64).to(dtype)
    matching = match(x, Split.of(8, 8, CPU), 30)
    assert matching.merge(x).dtype == matching.unmerge(matching.merge(x)).dtype == dtype
    assert change(matching.merge(x).float(), matching.merge(x.float())) < 0.01


def test_streamed_weights_and_merged_tokens_go_together(unet: UNet2DConditionModel) -> None:
    expected = run(unet, 0.4)
    stream = WeightStream(unet, finest_blocks(unet), CPU, SingleStream())
    try:
        assert torch.equal(run(unet, 0.4), expected)
    finally:
        stream.close()
    assert torch.equal(run(unet, 0.4), expected)


def test_compiled_blocks_run_plain_meanwhile(unet: UNet2DConditionModel) -> None:
    """Compiled code does not see hooks that came later, and must be there again when they are gone."""
    expected, called = run(unet, 0.4), []
    blocks = finest_blocks(unet)
    for block in blocks:
        block._compiled_call_impl = lambda *args, **kwargs: called.append(args)
    try:
        assert torch.equal(run(unet, 0.4), expected)
        assert not called
        with run_plain(blocks[:1]):
            assert [block._compiled_call_impl is None for block in blocks] == [True] + [False] * (len(blocks) - 1)
        assert None not in [block._compiled_call_impl for block in blocks]
    finally:
        for block in blocks:
            block._compiled_call_impl = None


def test_a_model_without_attention_at_the_finest_level_is_left_as_it_is() -> None:
    unet = make_modules(Architecture(vocabulary=512, unet_attention=(False, True))).unet
    with tokens_merged(unet, 0.5, (8, 8), CPU) as acts:
        assert not acts and hooks(unet) == 0
