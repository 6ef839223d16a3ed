"""Control models in a job's plan: their bytes count, by the heads of their files, and units do as the plan says."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
import torch
from PIL import Image
from torch import nn

from modules.catalogue import ModelFolders
from modules.engine import job_models as job_models_module
from modules.engine import model_placement as model_placement_module
from modules.engine.job_models import JobModels
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import ModelPlacement
from modules.features.controlnet.declare import CONTROLNET
from modules.features.controlnet.run import ControlNet
from modules.features.controlnet.sizes import control_sizes
from modules.features.declaration import checked_arguments
from modules.features.running import FeatureJob
from modules.features.shared import SharedCache, in_place
from modules.generation.pipeline import Pass, PassContext, Pipeline
from modules.hardware.budget import RESERVE, ControlSize, OutOfBudget, RequestSize, peak, vae_work
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.device import module_bytes
from modules.hardware.model_size import size_of
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.resolved import Variant
from modules.weights.control.reading import ControlModel
from tests.amounts import some
from tests.checkpoints import TINY_SD2, write_tiny_checkpoint
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import Line

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))
Made = TypeVar("Made")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One control model under two names."""
    folder: Path = tmp_path_factory.mktemp("control")
    path = str(write_control(folder / "edges.safetensors", controlnet_tensors(make_controlnet())))
    return {"control/edges": path, "control/others": path}


def scripts(*units: dict[str, Any]) -> dict[str, Any]:
    every: list[Any] = [{"enabled": True, "module": "none", "image": "picture"} | unit for unit in units]
    return {CONTROLNET.title: checked_arguments(CONTROLNET, {"units": every})}


def resolved(*units: dict[str, Any]) -> ResolvedRequest:
    return job(checkpoint_at(Path("tiny.safetensors")), "a", scripts=scripts(*units)).resolved


WEIGHTS = module_bytes(make_controlnet())


def test_each_model_counts_once_by_the_head_of_its_file(files: dict[str, str]) -> None:
    size = ControlSize(WEIGHTS)
    assert control_sizes(resolved(), files, 4) == ()
    assert control_sizes(resolved({"model": "edges"}, {"model": "edges"}, {"module": "canny"}), files, 4) == (size,)
    both = resolved({"model": "edges", "low_vram": True}, {"model": "others"})
    assert control_sizes(both, files, 4) == (replace(size, takes_turns=True), size)
    assert control_sizes(both, files, 2) == (ControlSize(WEIGHTS // 2, takes_turns=True), ControlSize(WEIGHTS // 2))
    assert control_sizes(both, {"control/edges": "no/such.safetensors"}, 4) == ()


def test_the_picture_with_the_most_counts(files: dict[str, str]) -> None:
    """Cells of a grid come one after the other."""
    cells = (
        Variant(fields={"scripts": scripts({"model": "edges"}, {"model": "others"})}),
        Variant(fields={"scripts": scripts()}),
    )
    grid = resolved({"model": "edges"}).model_copy(update={"variants": cells})
    assert control_sizes(grid, files, 4) == (ControlSize(WEIGHTS),) * 2


def test_a_job_whose_control_models_do_not_fit_beside_the_checkpoint_has_them_take_turns(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"bytes": 10**10}
    monkeypatch.setattr(ModelPlacement, "_free", lambda self: free["bytes"])
    for module in (job_models_module, model_placement_module):
        monkeypatch.setattr(module, "has_own_memory", lambda device: True)
    file = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    keeper = ModelKeeper(CPU, Line().emit)
    model = keeper.load(file).model

    def turns(units: ResolvedRequest) -> bool:
        return JobModels(keeper, CPU, units, None, None, files).pipeline(file).controls_take_turns

    two = resolved({"model": "edges"}, {"model": "others"})
    size = size_of(model.unet, model.vae, *model.text_encoders)
    request = RequestSize(64, 64, controls=(ControlSize(WEIGHTS), ControlSize(WEIGHTS)))
    free["bytes"] = peak(size, request, "full", cpu=True) + RESERVE
    assert not turns(two)
    free["bytes"] -= 1
    assert turns(two)
    assert not turns(resolved({"model": "edges"}))


def test_on_a_cpu_a_model_that_is_in_main_memory_already_counts_once(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its room is none of what is free; and none of them takes turns there, whatever its unit says."""
    free, shared = {"bytes": 10**10}, SharedCache()
    monkeypatch.setattr(ModelPlacement, "_free", lambda self: free["bytes"])
    file = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    keeper = ModelKeeper(CPU, Line().emit)
    model = keeper.load(file).model
    two = resolved({"model": "edges", "low_vram": True}, {"model": "others", "low_vram": True})

    def planned() -> int:
        assert not JobModels(keeper, CPU, two, None, None, files, shared).pipeline(file).controls_take_turns
        assert keeper.placement.plan is not None
        return keeper.placement.plan.peak

    size = size_of(model.unet, model.vae, *model.text_encoders)
    both = RequestSize(64, 64, controls=(ControlSize(WEIGHTS), ControlSize(WEIGHTS)))
    decode = vae_work(size, both)
    assert planned() == peak(size, both, "full", cpu=True) + decode
    shared.get("control models", (Path(files["control/edges"]), None, model.unet.dtype), lambda: None, 2)
    assert planned() == peak(size, both, "full", cpu=True) + decode - 2 * WEIGHTS
    free["bytes"] = size.weights
    with pytest.raises(OutOfBudget, match="on this machine"):
        planned()


class Recording(SharedCache):
    """Stores what was made last."""

    made: Any = None

    def get(self, kind: str, key: Hashable, make: Callable[[], Made], most: int) -> Made:
        found = super().get(kind, key, make, most)
        self.made = found if isinstance(found, ControlModel) else self.made
        return found


@pytest.mark.parametrize(
    ("take_turns", "low_vram", "place"), some([(False, False, "meta"), (True, False, "cpu"), (False, True, "cpu")], 1)
)
def test_a_model_is_on_the_device_unless_the_plan_or_its_unit_has_it_take_turns(
    files: dict[str, str], tmp_path: Path, take_turns: bool, low_vram: bool, place: str
) -> None:
    """A device without memory stands in for the card."""
    file = checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    units, shared = resolved({"model": "edges", "low_vram": low_vram}), Recording()
    given: Any = SimpleNamespace()
    feature = ControlNet(
        FeatureJob(
            units,
            lambda name: Image.new("RGB", (64, 64)),
            given,
            given,
            ModelFolders(),
            in_place,
            files,
            shared,
            lambda: False,
            lambda text: None,
        )
    )
    loaded = ModelKeeper(CPU, Line().emit).load(file)
    pipeline = Pipeline(loaded.model, loaded.encoder, torch.device("meta"), False, controls_take_turns=take_turns)
    plan: Any = SimpleNamespace(steps=4)
    feature.before_pass(PassContext(pipeline, units, range(1), Pass(units.passes[0]), plan))
    assert {parameter.device.type for parameter in shared.made.module.parameters()} == {place}


def test_a_refiner_of_another_family_goes_on_without_a_unit_and_another_checkpoint_is_refused(
    files: dict[str, str], tmp_path: Path
) -> None:
    path = write_tiny_checkpoint(tmp_path / "sd2.safetensors", architecture=TINY_SD2)
    units, said, given = resolved({"model": "edges"}), list[str](), cast(Any, SimpleNamespace())
    tools = (lambda name: Image.new("RGB", (64, 64)), given, given, ModelFolders(), in_place)
    feature = ControlNet(FeatureJob(units, *tools, files, SharedCache(), lambda: False, said.append))
    loaded = ModelKeeper(CPU, Line().emit).load(checkpoint_at(path))
    pipeline = Pipeline(loaded.model, loaded.encoder, torch.device("cpu"), False)
    context = PassContext(pipeline, units, range(1), Pass(units.passes[0]), cast(Any, SimpleNamespace(steps=4)))
    assert feature.before_pass(replace(context, is_refiner=True)) == ()
    assert said == ["The refiner went on without edges, which is for another family."]
    with pytest.raises(RequestError, match="is a checkpoint of SD2"):
        feature.before_pass(context)


def test_what_jobs_share_leaves_the_device_after_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next job's plan counts its room as free."""
    shared = SharedCache()
    bare = shared.get("bare", 0, lambda: nn.Linear(1, 1), 1)
    model = shared.get("models", 0, lambda: SimpleNamespace(module=nn.Linear(1, 1)), 1)
    shared.get("numbers", 0, lambda: 7, 1)
    moved: list[tuple[nn.Module, str]] = []
    monkeypatch.setattr(nn.Module, "to", lambda module, place: moved.append((module, place)))
    shared.leave_device()
    assert moved == [(bare, "cpu"), (model.module, "cpu")]
