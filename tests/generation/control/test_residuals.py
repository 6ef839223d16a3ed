"""Control models beside the UNet: what is added, to which rows and when, against diffusers' modules called by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.adapter import T2IAdapter
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.residuals import (
    ControlResiduals,
    ControlUnit,
    check_fits,
    residual_count,
)
from modules.generation.pipeline import PassHook
from modules.generation.pipeline import residuals_of as hooked
from modules.generation.unet import Residuals, replayed, skip_count, unet_function
from modules.hardware.graphs import StepGraphs
from modules.hardware.pinned_weights import PinnedWeights, onloaded
from modules.parameters import RequestError
from modules.sampling import CallPosition, Conditioning, Window
from modules.sampling.control import Weighting, residual_weights
from modules.weights.checkpoint import load_checkpoint
from modules.weights.control.reading import ControlModel
from tests.amounts import some
from tests.checkpoints import Architecture, make_modules, write_tiny_checkpoint
from tests.control_models import SMALL, SMALL_SDXL, make_adapter, make_controlnet, make_union
from tests.place_recorder import PlaceRecorder

KINDS: dict[str, tuple[ControlKind, Callable[[], nn.Module]]] = {
    "ControlNet": (ControlKind.CONTROLNET, make_controlnet),
    "Union": (ControlKind.UNION, make_union),
    "T2I-Adapter": (ControlKind.T2I_ADAPTER, make_adapter),
    "light adapter": (ControlKind.T2I_ADAPTER, lambda: make_adapter("light_adapter")),
}
BEGIN = CallPosition(0, 10, range(1))


def control(name: str) -> ControlModel:
    kind, make = KINDS[name]
    return ControlModel(Path(f"{name}.safetensors"), kind, "", make())


def of_two_levels(model: ControlModel) -> ControlModel:
    """An adapter without the levels that the narrow UNet lacks."""
    assert isinstance(model.module, T2IAdapter)
    model.module.adapter.body = model.module.adapter.body[:2]
    return model


def unit(name: str = "ControlNet", weight: float = 1.0, **more: Any) -> ControlUnit:
    model = control(name)
    weighting = Weighting(residual_weights(residual_count(model), weight, curved=False))
    return ControlUnit(model, picture(), **{"weighting": weighting, **more})


def picture() -> Tensor:
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def texts(a: Architecture, rows: int = 3, negative: int = 1) -> Conditioning:
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(rows, 9, sum(a.text_widths), generator=generator)
    added = {}
    if a.family.added_numbers:
        added = {
            "text_embeds": torch.randn(rows, a.text_widths[-1], generator=generator),
            "time_ids": torch.arange(6.0 * rows).reshape(rows, 6),
        }
    return Conditioning(context, added, negative)


def latents(rows: int = 3, channels: int = 4) -> Tensor:
    return torch.randn(rows, channels, 8, 8, generator=torch.Generator().manual_seed(3))


TIMES = torch.tensor([431.5, 431.5, 431.5])


def residuals_of(units: list[ControlUnit], at: CallPosition = BEGIN) -> Residuals:
    hook = ControlResiduals(units, 10)
    hook.begin_call(at)
    residuals = hooked([PassHook(), hook])
    assert residuals is not None
    return residuals


def predicted(unet: UNet2DConditionModel, a: Architecture, residuals: Residuals | None = None) -> Tensor:
    call = unet_function(unet, channels_last=False, residuals=residuals)
    with torch.no_grad():
        return call(latents(), TIMES, texts(a))


def by_hand(unet: UNet2DConditionModel, a: Architecture, **inside: Any) -> Tensor:
    text = texts(a)
    with torch.no_grad():
        answer: Tensor = unet(
            latents(), TIMES, text.context, added_cond_kwargs=dict(text.added), return_dict=False, **inside
        )[0]
    return answer


def controlnet_by_hand(model: nn.Module, a: Architecture, **more: Any) -> tuple[list[Tensor], Tensor]:
    text = texts(a)
    with torch.no_grad():
        skips, middle = model(
            latents(),
            TIMES,
            text.context,
            **{"controlnet_cond": picture().expand(3, -1, -1, -1), **more},
            added_cond_kwargs=dict(text.added),
            return_dict=False,
        )
    return list(skips), middle


@pytest.fixture(scope="module")
def sd1() -> UNet2DConditionModel:
    return make_modules(SMALL).unet


@pytest.fixture(scope="module")
def sdxl() -> UNet2DConditionModel:
    return make_modules(SMALL_SDXL).unet


def test_a_controlnet_is_added_as_diffusers_adds_it(sd1: UNet2DConditionModel) -> None:
    skips, middle = controlnet_by_hand(make_controlnet(), SMALL)
    expected = by_hand(
        sd1,
        SMALL,
        down_block_additional_residuals=[skip * 0.7 for skip in skips],
        mid_block_additional_residual=middle * 0.7,
    )
    made = predicted(sd1, SMALL, residuals_of([unit(weight=0.7)]))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (made - predicted(sd1, SMALL)).abs().max() > 1e-3
    assert len(skips) == skip_count(sd1) == residual_count(control("ControlNet")) - 1


def test_a_union_is_added_as_diffusers_adds_it(sdxl: UNet2DConditionModel) -> None:
    wanted = torch.zeros(3, 6)
    wanted[:, 4] = 1
    more = {"controlnet_cond": [picture().expand(3, -1, -1, -1)], "control_type": wanted, "control_type_idx": [4]}
    skips, middle = controlnet_by_hand(make_union(), SMALL_SDXL, **more)
    inside = {"down_block_additional_residuals": skips, "mid_block_additional_residual": middle}
    expected = by_hand(sdxl, SMALL_SDXL, **inside)
    made = predicted(sdxl, SMALL_SDXL, residuals_of([unit("Union", control_type=4)]))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    with pytest.raises(RequestError, match="knows 6 types of control pictures"):
        ControlResiduals([unit("Union", control_type=6)], 10)


@pytest.mark.parametrize("name", some(["T2I-Adapter", "light adapter"], 1))
def test_an_adapter_is_added_as_diffusers_adds_it(sd1: UNet2DConditionModel, name: str) -> None:
    model = of_two_levels(control(name))
    with torch.no_grad():
        features = [feature * 0.5 for feature in model.module(picture())]
    made = predicted(sd1, SMALL, residuals_of([ControlUnit(model, picture(), Weighting((0.5, 0.5)))]))
    expected = by_hand(sd1, SMALL, down_intrablock_additional_residuals=list(features))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (made - predicted(sd1, SMALL)).abs().max() > 1e-3


def test_several_units_of_all_kinds_add_up(sd1: UNet2DConditionModel) -> None:
    adapter = of_two_levels(control("T2I-Adapter"))
    units = [unit(weight=0.5), ControlUnit(adapter, picture(), Weighting((1.0, 1.0))), unit(weight=0.25)]
    skips, middle = controlnet_by_hand(make_controlnet(), SMALL)
    with torch.no_grad():
        features = list(adapter.module(picture()))
    expected = by_hand(
        sd1,
        SMALL,
        down_block_additional_residuals=[skip * 0.75 for skip in skips],
        mid_block_additional_residual=middle * 0.75,
        down_intrablock_additional_residuals=features,
    )
    torch.testing.assert_close(predicted(sd1, SMALL, residuals_of(units)), expected, rtol=0, atol=1e-5)


def test_rows_of_the_negative_prompt_are_left_as_they_are(sd1: UNet2DConditionModel) -> None:
    weighting = Weighting(residual_weights(5, 1.0, curved=False), positive_only=True)
    plain, with_all = predicted(sd1, SMALL), predicted(sd1, SMALL, residuals_of([unit()]))
    made = predicted(sd1, SMALL, residuals_of([unit(weighting=weighting)]))
    torch.testing.assert_close(made[:2], with_all[:2], rtol=0, atol=1e-5)
    torch.testing.assert_close(made[2:], plain[2:], rtol=0, atol=1e-5)


def test_a_forward_of_the_negative_prompt_alone_calls_no_model() -> None:
    weighting = Weighting(residual_weights(5, 1.0, curved=False), positive_only=True)
    only = unit(weighting=weighting)
    only.model.module.register_forward_pre_hook(lambda *_: pytest.fail("called for nothing"))
    assert residuals_of([only])(latents(), TIMES, texts(SMALL, negative=3)) is None


def test_a_window_switches_units_on_and_off() -> None:
    late = unit(window=(0.5, 1.0))
    given = latents(), TIMES, texts(SMALL)
    assert residuals_of([late], CallPosition(5, 10, range(1)))(*given) is None
    with torch.no_grad():
        assert residuals_of([late], CallPosition(6, 10, range(1)))(*given) is not None


@pytest.mark.parametrize("name", ["ControlNet", "T2I-Adapter"])
def test_a_row_that_shows_a_part_of_the_picture_is_controlled_by_that_part(name: str) -> None:
    """Two tiles in one forward, each with its part of the map and of the region mask, as if each went alone."""
    mask = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(4))
    whole = unit(name)
    whole = replace(whole, weighting=replace(whole.weighting, mask=mask))
    windows = (Window(0, 0, 4, 8, (8, 8)), Window(4, 0, 4, 8, (8, 8)))
    rows = replace(texts(SMALL, 2, 0), windows=windows)
    sample = latents(2)[..., :4]
    with torch.no_grad():
        together = residuals_of([whole])(sample, TIMES[:2], rows)
        assert together is not None
        for row, window in enumerate(windows):
            own = replace(whole, hint=window.cut(whole.hint), weighting=replace(whole.weighting, mask=window.cut(mask)))
            alone = residuals_of([own])(sample[row : row + 1], TIMES[:1], texts(SMALL, 2, 0).slice(row, row + 1))
            assert alone is not None
            for found, wanted in zip(
                (*together.skips, *together.features), (*alone.skips, *alone.features), strict=True
            ):
                torch.testing.assert_close(found[row : row + 1].expand_as(wanted), wanted, rtol=1e-4, atol=1e-5)


def test_a_pass_without_residuals_asks_for_none() -> None:
    assert hooked([PassHook()]) is None


def test_an_inpainting_unets_latent_alone_goes_to_the_controlnet() -> None:
    given = latents(channels=9)
    with torch.no_grad():
        made = residuals_of([unit()])(given, TIMES, texts(SMALL))
        expected = residuals_of([unit()])(given[:, :4], TIMES, texts(SMALL))
    assert made is not None
    assert expected is not None
    assert torch.equal(made.skips[0], expected.skips[0])


def test_a_picture_that_is_no_whole_number_of_cells_wide_goes_to_an_adapter() -> None:
    wide = replace(unit("T2I-Adapter"), hint=torch.rand(1, 3, 72, 60))
    with torch.no_grad():
        made = residuals_of([wide])(latents(), TIMES, texts(SMALL))
    assert made is not None
    assert [tuple(feature.shape[-2:]) for feature in made.features] == [(9, 8), (5, 4), (3, 2), (2, 1)]


@pytest.mark.long
def test_recorded_steps_take_residuals_as_they_take_the_rest(sd1: UNet2DConditionModel) -> None:
    """A unit whose window ends, and begins again in the next pass, has its own recording."""
    plain, controlled = predicted(sd1, SMALL), predicted(sd1, SMALL, residuals_of([unit()]))
    recorder, of_unit = PlaceRecorder(), residuals_of([unit()])
    on = [False]

    def residuals(sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Any:
        return of_unit(sample, timesteps, conditioning) if on[0] else None

    with replayed(sd1, StepGraphs(lambda: recorder)) as forward, torch.no_grad():
        call = unet_function(sd1, channels_last=False, forward=forward, residuals=residuals)
        for on[0] in (True, False) * 5:
            expected = controlled if on[0] else plain
            torch.testing.assert_close(call(latents(), TIMES, texts(SMALL)), expected, rtol=0, atol=1e-5)
    assert (recorder.recorded, recorder.replayed) == (2, 6)


def test_a_model_that_lies_elsewhere_is_moved_for_its_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[torch.device] = []

    def to_device(weights: PinnedWeights, device: torch.device) -> None:
        moved.append(device)
        weights.set_data([tensor.clone() for tensor in weights.in_main_memory])

    monkeypatch.setattr(PinnedWeights, "to_device", to_device)
    module = nn.Linear(2, 2)
    before = module.weight.data_ptr()
    with onloaded(module, torch.device("cpu")):
        assert module.weight.data_ptr() == before
    with pytest.raises(RuntimeError, match="the call failed"), onloaded(module, torch.device("meta")):
        assert module.weight.data_ptr() != before
        raise RuntimeError("the call failed")
    assert module.weight.data_ptr() == before
    assert moved == [torch.device("meta")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Architecture], Any]:
    folder = tmp_path_factory.mktemp("models")

    def loaded(a: Architecture) -> Any:
        return load_checkpoint(write_tiny_checkpoint(folder / f"{a.family.name}.safetensors", architecture=a))

    return loaded


def test_a_control_model_for_another_family_or_size_is_refused(checkpoint: Callable[[Architecture], Any]) -> None:
    model = checkpoint(SMALL)
    check_fits(control("ControlNet"), model)
    with pytest.raises(RequestError, match=r"Union\.safetensors is a ControlNet Union for SDXL, and SD1\.safetensors"):
        check_fits(replace(control("Union"), family="SDXL"), model)
    wider = ControlModel(
        Path("wider.pth"), ControlKind.CONTROLNET, "SD1", make_controlnet(replace(SMALL, text_hidden=96))
    )
    with pytest.raises(RequestError, match=r"wider\.pth is a ControlNet for a UNet of other widths"):
        check_fits(wider, model)
