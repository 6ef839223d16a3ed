"""Weights of single blocks in tags: presets, lists of every length, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from modules.prompt import NetworkUse, extract_networks, network_uses
from modules.prompt.block_weights import PRESETS, parse_block_weights, parse_presets


def test_a_list_of_17_names_the_blocks_with_attention_and_leaves_out_the_others() -> None:
    weights = dict(parse_block_weights(",".join(str(number) for number in range(1, 18)), {}))
    named = {name: weight for name, weight in weights.items() if weight}
    assert list(named) == [
        *("BASE", "IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "M00"),
        *(f"OUT{number:02}" for number in range(3, 12)),
    ]
    assert list(named.values()) == list(range(1, 18))
    assert len(weights) == 26 and weights["IN00"] == weights["IN11"] == weights["OUT00"] == 0


@pytest.mark.parametrize(
    ("count", "blocks", "first", "last"),
    [(12, 20, "IN04", "OUT05"), (20, 20, "IN00", "OUT08"), (26, 26, "IN00", "OUT11")],
)
def test_lists_of_other_lengths(count: int, blocks: int, first: str, last: str) -> None:
    weights = dict(parse_block_weights(",".join(["0.5"] * count), {}))
    assert len(weights) == blocks and weights["BASE"] == weights[first] == weights["M00"] == weights[last] == 0.5


@pytest.mark.parametrize("name", PRESETS)
def test_presets_weigh_every_block_of_stable_diffusion_1(name: str) -> None:
    assert len(parse_block_weights(name, {})) == 26


def test_own_presets_go_before_the_built_in_ones() -> None:
    presets = parse_presets(["MIDD: " + ",".join(["2"] * 17), "no preset", "  : 1", "X:1,1"])
    assert list(presets) == ["MIDD", "X"]
    assert dict(parse_block_weights("MIDD", presets))["BASE"] == 2


@pytest.mark.parametrize("text", ["NOSUCH", "1,2,3", "", "1,a", ",".join(["nan"] * 17), "X"])
def test_what_is_no_list_is_refused_in_a_sentence(text: str) -> None:
    (found, sentences) = network_uses(extract_networks(f"<lora:x:1:lbw={text}><lora:y>")[1], {"X": "1,1"})
    assert [use.name for use in found] == ["y"]
    assert len(sentences) == 1 and "<lora:x>" in sentences[0] and sentences[0].endswith("left out.")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("<lora:x:1>", (1, None)),
        ("<lora:x:1:start=5>", (5, None)),
        ("<lora:x:1:stop=10>", (1, 10)),
        ("<lora:x:1:start=5:stop=10>", (5, 10)),
        ("<lora:x:1:step=5-10>", (5, 10)),
        ("<lora:x:1:step=3>", (3, 3)),
    ],
)
def test_steps(text: str, steps: Any) -> None:
    ((use,), ()) = network_uses(extract_networks(text)[1])
    assert (use.first, use.last) == steps
    acting = [step for step in range(1, 21) if use.acts_at(step)]
    assert acting == list(range(steps[0], (steps[1] or 20) + 1))
    assert use.has_steps == (steps != (1, None))
    assert NetworkUse("lora", "x").has_steps is False
