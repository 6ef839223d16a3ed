"""One prompt on the way to another."""

import pytest

from modules.prompt import blended, split_composable


def test_the_ends_are_the_prompts_as_they_stand() -> None:
    assert blended("ratio 16:9", "b", 0) == "ratio 16:9"
    assert blended("a", "b AND c :2", 1) == "b AND c :2"


@pytest.mark.parametrize("share", [0.1, 1 / 3, 0.5, 0.9])
def test_between_them_every_part_has_its_share_of_its_weight(share: float) -> None:
    parts = split_composable(blended("ratio 16:9", "red AND big :2", share))
    assert [text.strip() for text, _ in parts] == ["ratio 16:9", "red", "big"]
    assert [weight for _, weight in parts] == pytest.approx([1 - share, share, 2 * share], abs=1e-6)
