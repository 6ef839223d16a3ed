"""No sampler looks at what lies on the device: reading one number there makes the processor wait for all its work.

On a CPU nothing can be seen of waiting, so what would lie on a device is followed instead: the UNet's answers, the
noise, and everything computed from either.
"""

from __future__ import annotations

from typing import Any, Self

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from modules.parameters.samplers import sampler_labels
from modules.sampling import GuidanceOptions, ImageNoise, constant_conditions, sample
from modules.sampling.conditioning import Conditioning
from modules.sampling.samplers import STEP_CONTROLLED_SAMPLERS
from tests.sampling.doubles import toy_conditioning, toy_unet
from tests.sampling.test_run import SHAPE, plan

aten = torch.ops.aten
# A number or a decision for Python, or a shape that depends on values.
WAITING = {aten._local_scalar_dense.default, aten.is_nonzero.default, aten.equal.default, aten.nonzero.default,
           aten.masked_select.default, aten._unique2.default}  # fmt: skip


class OnDevice(TorchDispatchMode):
    """Follows tensors that would lie on the device, and notes what would wait for them."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._there: dict[int, Tensor] = {}

    def mark(self, tensor: Tensor) -> Tensor:
        self._there[id(tensor)] = tensor  # kept, so that no other tensor gets its id
        return tensor

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = any(id(leaf) in self._there for leaf in inputs)
        if there and func in WAITING:
            self.waits.append(str(func))
        out = func(*args, **(kwargs or {}))
        if there:
            for leaf in pytree.tree_leaves(out):
                if isinstance(leaf, Tensor):
                    self.mark(leaf)
        return out

    def __enter__(self) -> Self:
        super().__enter__()
        return self


class NoiseOnDevice(ImageNoise):
    """Draws that lie on the device."""

    mode: OnDevice

    def draw(self) -> Tensor:
        return self.mode.mark(super().draw())


def waits_of(label: str, scale: float = 7.0, steps: int = 6) -> list[str]:
    mode = OnDevice()

    def unet(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return mode.mark(toy_unet(x, timesteps, conditioning))

    noise = NoiseOnDevice(SHAPE, [1, 2], source="CPU")
    noise.mode = mode
    conditions = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    made = plan(label, steps)
    with mode:
        result = sample(made, unet, conditions, noise, GuidanceOptions(cfg_scale=scale))
        assert id(result) in mode._there
        float(result.sum())  # the one look that is meant, and the proof that looks are seen
    assert mode.waits.pop() == "aten._local_scalar_dense.default"
    return mode.waits


@pytest.mark.parametrize("label", [label for label in sampler_labels() if label not in STEP_CONTROLLED_SAMPLERS])
def test_nothing_is_read_back_in_the_steps(label: str) -> None:
    assert waits_of(label) == []


def test_only_the_sampler_that_chooses_its_own_steps_must_look() -> None:
    assert {"DPM adaptive"} == STEP_CONTROLLED_SAMPLERS
    assert waits_of("DPM adaptive")


@pytest.mark.parametrize("label", ["LCM", "Euler a", "DPM++ 2M"])
def test_at_cfg_scale_1_a_step_is_one_forward_of_one_row_a_picture(label: str) -> None:
    rows: list[int] = []

    def unet(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows.append(x.shape[0])
        return toy_unet(x, timesteps, conditioning)

    conditions = constant_conditions(toy_conditioning(2, seed=1), toy_conditioning(2, seed=2))
    sample(plan(label, 4), unet, conditions, ImageNoise(SHAPE, [1, 2], source="CPU"), GuidanceOptions(cfg_scale=1.0))
    assert rows == [2] * 4
    rows.clear()
    sample(plan(label, 4), unet, conditions, ImageNoise(SHAPE, [1, 2], source="CPU"), GuidanceOptions(cfg_scale=2.0))
    assert rows == [4] * 4
