"""Which rows of a forward a unit controls, and how much, in a whole pass: prompts joined by AND, and control modes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from modules.generation.control.residuals import ControlResiduals
from modules.sampling import Conditioning, UnetResiduals
from tests.checkpoints import Architecture
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.features.controlnet.test_seen import Room

# Of the extension, for the first residuals: 0.825 to the power of 12, 11 and so on; SDXL takes the same first ones.
CURVE = (0.0994, 0.1205, 0.1460, 0.1770, 0.2146)
ROWS = 3


class Calls:
    """The calls of units in a pass, and what they answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[tuple[Tensor, Tensor, Conditioning]] = []
        self.answers: list[UnetResiduals] = []
        residuals, calls = ControlResiduals.residuals, self

        def recorded(
            hook: ControlResiduals, sample: Tensor, timesteps: Tensor, conditioning: Conditioning
        ) -> UnetResiduals | None:
            answer = residuals(hook, sample, timesteps, conditioning)
            assert answer is not None
            calls.rows.append((sample, timesteps, conditioning))
            calls.answers.append(answer)
            return answer

        monkeypatch.setattr(ControlResiduals, "residuals", recorded)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("rows"), Architecture())


@pytest.fixture
def first(room: Room, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Draws with a unit in a control mode; gives the first call and its answers, and the picture's latent."""
    control = write_control(Path(room.folder) / "edges.safetensors", controlnet_tensors(make_controlnet()))

    def drawn(mode: str, prompt: str = "a circle AND a blue square :0.4", **more: Any) -> Any:
        calls = Calls(monkeypatch)
        unit = {"module": "none", "model": "edges", "control_mode": mode} | more
        made = room.drawn(unit, files={"control/edges": str(control)}, prompt=prompt)
        return calls.rows[0], calls.answers[0], made

    return drawn


def per_row(answer: UnetResiduals) -> list[Tensor]:
    assert answer.middle is not None
    return [*answer.skips, answer.middle]


def test_each_prompt_joined_by_and_is_controlled_in_full_whatever_its_weight(first: Any) -> None:
    (sample, timesteps, rows), answer, made = first("Balanced")
    assert (rows.rows, rows.negative_rows) == (ROWS, 1)
    module = make_controlnet()
    hint = torch.tensor((220, 30, 20))[:, None, None].expand(1, -1, 64, 64) / 255
    for row in range(ROWS):
        one = rows.slice(row, row + 1)
        with torch.no_grad():
            skips, middle = module(
                sample[row : row + 1], timesteps[row : row + 1], one.context, hint, return_dict=False
            )
        for found, wanted in zip(per_row(answer), [*skips, middle], strict=True):
            torch.testing.assert_close(found[row : row + 1], wanted, rtol=1e-4, atol=1e-5)
    # The prompts differ, and so does what each of them is given.
    assert not torch.allclose(per_row(answer)[-1][0], per_row(answer)[-1][1])
    assert not torch.equal(made, first("Balanced", prompt="a circle")[2])


@pytest.mark.parametrize(
    ("mode", "negative"), [("My prompt is more important", True), ("ControlNet is more important", False)]
)
def test_the_modes_weigh_each_row_by_the_curve_and_one_leaves_the_negative_prompt_out(
    first: Any, mode: str, negative: bool
) -> None:
    balanced, weighed = (per_row(first(one)[1]) for one in ("Balanced", mode))
    for share, before, after in zip(CURVE, balanced, weighed, strict=True):
        torch.testing.assert_close(after[: ROWS - 1], before[: ROWS - 1] * share, rtol=2e-3, atol=1e-6)
        wanted = before[ROWS - 1 :] * share if negative else torch.zeros_like(before[ROWS - 1 :])
        torch.testing.assert_close(after[ROWS - 1 :], wanted, rtol=2e-3, atol=1e-6)


def test_weights_of_its_own_take_the_place_of_the_curve(first: Any) -> None:
    own = [0.5, 0.0, 1.0, 0.25, 2.0]
    balanced = per_row(first("Balanced")[1])
    weighed = per_row(first("My prompt is more important", advanced_weighting=[*map(str, own)], weight=0.5)[1])
    for share, before, after in zip(own, balanced, weighed, strict=True):
        torch.testing.assert_close(after, before * share * 0.5, rtol=1e-4, atol=1e-6)
