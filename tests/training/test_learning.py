"""The optimiser, the loop that both stages share, and the measures of the evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from training.cases import score_cases, sheet_cases
from training.composition import is_held_out
from training.features import border_colour, foreground, to_lab
from training.judge import nearest_colour
from training.loop import Plan, rate_factor, train
from training.optimizer import Muon, build_optimizers, orthogonalised
from training.vocabulary import COLOURS


class LineTask:
    """Fits y = 3 x."""

    ends: tuple[str, ...] = ("1",)

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 1))
        self.restored = False

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        x = torch.from_numpy(rng.random((16, 1))).float()
        loss: Tensor = (self.model(x) - 3 * x).square().mean()
        return loss

    def after_step(self, progress: float, leader: bool) -> None:
        assert leader

    def report(self) -> str:
        return "fine"

    def state(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.restored = True
        self.model.load_state_dict(state)


def plan(file: Path, seconds: float) -> Plan:
    return Plan(file, seconds, seed=1, device="cpu", workers=1, adam_lr=0.01)


def test_a_stage_learns_saves_and_goes_on(tmp_path: Path) -> None:
    task = LineTask()
    before = task.loss(np.random.default_rng(0), 0).item()
    train(plan(tmp_path / "line.pt", 1.0), task)
    assert task.loss(np.random.default_rng(0), 0).item() < before / 4
    again = LineTask()
    train(plan(tmp_path / "line.pt", 1.0), again)
    assert again.restored
    assert all(torch.equal(a, b) for a, b in zip(task.state().values(), again.state().values(), strict=True))


def test_the_rate_warms_up_stays_and_ends_at_nothing() -> None:
    assert rate_factor(0.0, 0, 0.4) < 0.1
    assert rate_factor(0.2, 1000, 0.4) == 1
    assert rate_factor(0.7, 1000, 0.4) == pytest.approx(0.5)
    assert rate_factor(1.0, 1000, 0.4) == 0


@pytest.mark.parametrize("shape", [(32, 96), (96, 32), (16, 16)])
def test_orthogonalised_matrices_have_singular_values_near_one(shape: tuple[int, int]) -> None:
    values = torch.linalg.svdvals(
        orthogonalised(torch.randn(shape, generator=torch.Generator().manual_seed(0))).float()
    )
    assert values.min() > 0.3 and values.max() < 1.5


def test_vectors_and_ends_are_left_to_adam() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3))
    muon, adam = build_optimizers(model, 0.02, 1e-3, ends=("0",))
    assert isinstance(muon, Muon)
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(8, 8, 3, 3)]
    assert len(adam.param_groups[0]["params"]) == 3


def test_lab_of_known_colours() -> None:
    lab = to_lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], np.uint8))
    np.testing.assert_allclose(lab, np.array([[100, 0, 0], [0, 0, 0], [53.2, 80.1, 67.2]]), atol=0.2)


def test_every_colour_is_its_own_nearest_colour() -> None:
    assert all(nearest_colour(np.array(value, np.uint8)) == name for name, value in COLOURS.items())


def test_foreground_is_what_differs_from_the_border() -> None:
    picture = np.full((128, 128, 3), COLOURS["blue"], np.uint8)
    picture[40:80, 50:90] = COLOURS["yellow"]
    assert tuple(border_colour(picture)) == COLOURS["blue"]
    assert foreground(picture).sum() == 40 * 40


def test_half_of_the_sheet_is_unseen() -> None:
    cases = sheet_cases()
    assert len(cases) == 64 and sum(case.unseen for case in cases) == 32
    assert len({case.prompt for case in cases}) == 64


@pytest.mark.parametrize("cases", [sheet_cases(), score_cases()])
def test_cases_are_distinguished_as_training_does(cases: list[Any]) -> None:
    assert all(is_held_out(case.composition) == case.unseen for case in cases)
