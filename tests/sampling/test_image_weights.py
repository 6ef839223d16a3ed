"""Weight types of IP-Adapters: golden values over the attentions of both families."""

from __future__ import annotations

from typing import Any

import pytest

from modules.parameters.control import ImageWeightType as Kind
from modules.sampling.image_weights import AttentionCount, image_weights

SD1 = AttentionCount(6, 1, 9)
SDXL = AttentionCount(4, 1, 6, xl=True)


def where(kind: Kind, count: AttentionCount) -> dict[int, Any]:
    """The weights that are not zero."""
    made = image_weights(kind, 0.8, count, composition=0.5)
    assert len(made) == count.total
    return {index: pytest.approx(weight) for index, weight in enumerate(made) if weight}


@pytest.mark.parametrize("count", [SD1, SDXL])
def test_even_and_eased_weights(count: AttentionCount) -> None:
    total = count.total
    assert image_weights(Kind.NORMAL, 0.8, count) == (0.8,) * total
    falling, rising = image_weights(Kind.EASE_IN, 0.8, count), image_weights(Kind.EASE_OUT, 0.8, count)
    assert falling[0] == pytest.approx(0.8)
    assert rising[0] == pytest.approx(0.04)
    assert falling[-1] == pytest.approx(0.8 * (0.05 + 0.95 / total))
    assert rising[-1] == pytest.approx(0.8 * (0.05 + 0.95 * (total - 1) / total))
    there, back = image_weights(Kind.EASE_IN_OUT, 1.0, count), image_weights(Kind.REVERSE_IN_OUT, 1.0, count)
    assert (there[0], back[0]) == pytest.approx((0.05, 1.0))
    assert max(there) > 0.9
    assert min(back) < 0.15


@pytest.mark.parametrize(
    ("kind", "weak"),
    [
        (Kind.WEAK_INPUT, range(6)),
        (Kind.WEAK_MIDDLE, range(6, 7)),
        (Kind.WEAK_OUTPUT, range(7, 16)),
        (Kind.STRONG_MIDDLE, (*range(6), *range(7, 16))),
    ],
)
def test_weak_and_strong_parts(kind: Kind, weak: range) -> None:
    assert where(kind, SD1) == {index: 0.8 * (0.2 if index in weak else 1.0) for index in range(16)}


def test_style_and_composition() -> None:
    assert where(Kind.STYLE, SD1) == dict.fromkeys((0, 1, 2, 3, *range(9, 16)), 0.8)
    assert where(Kind.STYLE, SDXL) == {6: 0.8}
    assert where(Kind.COMPOSITION, SD1) == {4: 0.2, 5: 0.8}
    assert where(Kind.COMPOSITION, SDXL) == {3: 0.8}
    assert where(Kind.STRONG_STYLE, SD1) == dict.fromkeys((*range(4), *range(6, 16)), 0.8)
    assert where(Kind.STRONG_STYLE, SDXL) == dict.fromkeys((0, 1, 2, *range(4, 11)), 0.8)
    assert where(Kind.STYLE_AND_COMPOSITION, SD1) == where(Kind.STYLE, SD1) | {4: 0.125, 5: 0.5}
    assert where(Kind.STYLE_AND_COMPOSITION, SDXL) == {3: 0.5, 6: 0.8}
