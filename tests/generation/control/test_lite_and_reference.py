"""LLLite and reference pictures: what they do to the UNet's layers, worked out by hand, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

from modules.catalogue import ModelFileError
from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.lite import LiteControl, LiteUnit
from modules.generation.control.reference import ReferenceControl, ReferencePicture, style_fidelity
from modules.generation.pipeline import PassHook, residuals_of
from modules.generation.unet import unet_function
from modules.parameters import RequestError
from modules.parameters.control import ControlMode
from modules.sampling import CallPosition, Conditioning, scaled_linear_alphas_cumprod
from modules.weights.control.reading import ControlModel, read_control_model
from tests.amounts import some
from tests.checkpoints import Tensors, make_modules
from tests.control_models import SMALL, write_control

LATENTS = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(3))
TIMES = torch.full((3,), 431.4)
CONTEXT = torch.randn(3, 9, 64, generator=torch.Generator().manual_seed(1))
TEXTS = Conditioning(CONTEXT, {}, 1)


@pytest.fixture
def unet() -> UNet2DConditionModel:
    return make_modules(SMALL).unet


def answer(unet: UNet2DConditionModel, hook: PassHook | None = None, call: int = 0) -> Tensor:
    if hook is None:
        with torch.no_grad():
            return unet_function(unet, channels_last=False)(LATENTS, TIMES, TEXTS)
    hook.begin_call(CallPosition(call, 10, range(2)))
    with torch.no_grad(), hook.patched(unet):
        predict = unet_function(unet, channels_last=False, residuals=residuals_of([hook]))
        return predict(LATENTS, TIMES, TEXTS)


@contextmanager
def hooked(module: nn.Module, before: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(before, with_kwargs=True)
    yield
    handle.remove()


# The first level's attention sees each cell of the latent, the middle's each second one.
FINE = "lllite_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
COARSE = "lllite_unet_middle_block_1_transformer_blocks_0_attn2_to_q"


def lite_tensors() -> Tensors:
    generator = torch.Generator().manual_seed(4)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    tensors: Tensors = {}
    for name, width, second in ((FINE, 32, 2), (COARSE, 64, 4)):
        tensors |= {f"{name}.conditioning1.0.weight": some(4, 3, 4, 4), f"{name}.conditioning1.0.bias": some(4)}
        tensors |= {
            f"{name}.conditioning1.2.weight": some(6, 4, second, second),
            f"{name}.conditioning1.2.bias": some(6),
        }
        tensors |= {f"{name}.down.0.weight": some(5, width), f"{name}.down.0.bias": some(5)}
        tensors |= {f"{name}.mid.0.weight": some(5, 11), f"{name}.mid.0.bias": some(5)}
        tensors |= {f"{name}.up.0.weight": some(width, 5), f"{name}.up.0.bias": some(width)}
    return tensors


def lite(folder: Path, tensors: Tensors | None = None) -> ControlModel:
    path = write_control(folder / "lllite.safetensors", lite_tensors() if tensors is None else tensors)
    return read_control_model(path, checkpoint=path, dtype=torch.float32)


def picture(side: int = 64) -> Tensor:
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(2))


def changed_by_hand(name: str, second: int, weight: float, rows: int = 3) -> Callable[..., Any]:
    """sd-scripts: what a layer is given is x + up(mid([view, down(x)]))."""
    own = {part.removeprefix(f"{name}."): value for part, value in lite_tensors().items() if part.startswith(name)}

    def before(_module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> Any:
        x = inputs[0]
        seen = picture() * 2 - 1
        seen = functional.conv2d(seen, own["conditioning1.0.weight"], own["conditioning1.0.bias"], stride=4).relu()
        seen = functional.conv2d(seen, own["conditioning1.2.weight"], own["conditioning1.2.bias"], stride=second)
        seen = seen.flatten(2).transpose(1, 2).expand(x.shape[0], -1, -1)
        small = functional.linear(x, own["down.0.weight"], own["down.0.bias"]).relu()
        middle = functional.linear(torch.cat([seen, small], 2), own["mid.0.weight"], own["mid.0.bias"]).relu()
        made = functional.linear(middle, own["up.0.weight"], own["up.0.bias"]) * weight
        made[rows:] = 0
        return (x + made,), named

    return before


@pytest.mark.parametrize("positive_only", [False, True])
def test_an_lllite_changes_its_layers_as_its_author_does(
    tmp_path: Path, unet: UNet2DConditionModel, positive_only: bool
) -> None:
    model = lite(tmp_path)
    assert (model.kind, model.family) == (ControlKind.LLLITE, "SDXL")
    rows = 2 if positive_only else 3
    layers = (("down_blocks.0.attentions.0", "attn1", FINE, 2), ("mid_block.attentions.0", "attn2", COARSE, 4))
    fine, coarse = (
        (unet.get_submodule(f"{path}.transformer_blocks.0.{part}.to_q"), changed_by_hand(name, second, 0.6, rows))
        for path, part, name, second in layers
    )
    with hooked(*fine), hooked(*coarse):
        expected = answer(unet)
    before = answer(unet)
    made = answer(unet, LiteControl([LiteUnit(model, picture(), 0.6, positive_only=positive_only)], 10))
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (made - before).abs().max() > 1e-3
    assert torch.equal(answer(unet), before), "a hook is left"


def test_when_an_lllite_acts(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    model, before = lite(tmp_path), answer(unet)
    late = LiteControl([LiteUnit(model, picture(), 1.0, window=(0.5, 1.0))], 10)
    assert torch.equal(answer(unet, late, call=2), before)
    assert not torch.equal(answer(unet, late, call=7), before)
    assert torch.equal(answer(unet, LiteControl([LiteUnit(model, picture(), 0.0)], 10)), before)
    # A picture that is no whole number of cells wide: 60 pixels are eight cells of the latent as well.
    assert not torch.equal(answer(unet, LiteControl([LiteUnit(model, picture(60), 1.0)], 10)), before)


def test_an_lllite_for_another_unet_is_refused(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    tensors = {name.replace("input_blocks_1_1", "input_blocks_8_1"): value for name, value in lite_tensors().items()}
    control = LiteControl([LiteUnit(lite(tmp_path, tensors), picture(), 1.0)], 10)
    before = answer(unet)
    with pytest.raises(
        RequestError, match=r"lllite\.safetensors is for another kind of UNet, which has a layer lllite"
    ):
        answer(unet, control)
    assert torch.equal(answer(unet), before), "a hook is left"
    with pytest.raises(ModelFileError, match=r"has a tensor 'lllite_unet_x\.strange', which no ControlNet-LLLite has"):
        lite(tmp_path, lite_tensors() | {"lllite_unet_x.strange": torch.zeros(1)})
    missing = {name: value for name, value in lite_tensors().items() if not name.endswith("mid.0.weight")}
    with pytest.raises(ModelFileError, match=r"mid\.0\.weight is missing"):
        lite(tmp_path, missing)


ALPHAS = scaled_linear_alphas_cumprod()
SEEN, NOISE = (torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6))


def reference(**more: Any) -> ReferenceControl:
    return ReferenceControl([ReferencePicture(SEEN, NOISE, **{"fidelity": 0.0, **more})], ALPHAS, 10)


def noised() -> Tensor:
    share = ALPHAS[431]
    return (SEEN * share**0.5 + NOISE * (1 - share) ** 0.5).expand(3, -1, -1, -1)


def self_attentions(unet: UNet2DConditionModel) -> list[nn.Module]:
    return [module for name, module in unet.named_modules() if name.endswith(".attn1")]


def test_self_attention_looks_at_what_it_was_given_of_the_picture(unet: UNet2DConditionModel) -> None:
    stored: dict[nn.Module, Tensor] = {}

    def store(module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> None:
        stored[module] = inputs[0]

    def use(module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Any]) -> Any:
        return inputs, named | {"encoder_hidden_states": torch.cat([inputs[0], stored[module]], 1)}

    before = answer(unet)
    handles = [module.register_forward_pre_hook(store, with_kwargs=True) for module in self_attentions(unet)]
    with torch.no_grad():
        unet(noised(), TIMES, CONTEXT)
    for handle in handles:
        handle.remove()
    handles = [module.register_forward_pre_hook(use, with_kwargs=True) for module in self_attentions(unet)]
    expected = answer(unet)
    for handle in handles:
        handle.remove()
    made = answer(unet, reference())
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert (made - before).abs().max() > 1e-3
    assert torch.equal(answer(unet), before), "a hook is left"


def test_fidelity_keeps_the_negative_prompt_from_looking(unet: UNet2DConditionModel) -> None:
    before, all_look = answer(unet), answer(unet, reference())
    none, half = answer(unet, reference(fidelity=1.0)), answer(unet, reference(fidelity=0.5))
    torch.testing.assert_close(none[:2], all_look[:2], rtol=0, atol=1e-5)
    torch.testing.assert_close(none[2], before[2], rtol=0, atol=1e-5)
    assert 1e-4 < (half[2] - before[2]).abs().max() < (all_look[2] - before[2]).abs().max() * 1.5
    assert not torch.allclose(half[2], all_look[2], atol=1e-5)


def test_weight_says_how_many_layers_look_and_a_window_when(unet: UNet2DConditionModel) -> None:
    before = answer(unet)
    assert torch.equal(answer(unet, reference(weight=0.0)), before)
    few, all_look = answer(unet, reference(weight=0.3)), answer(unet, reference())
    assert not torch.equal(few, before)
    assert not torch.equal(few, all_look)
    assert torch.equal(answer(unet, reference(window=(0.0, 0.2)), call=5), before)


@pytest.mark.long
def test_channels_get_the_pictures_mean_and_deviation(unet: UNet2DConditionModel) -> None:
    """Of a picture that is the sample itself they stay as they are."""
    before = answer(unet)
    one = LATENTS[:1]
    share = ALPHAS[431]
    same = ReferencePicture(one / share**0.5, torch.zeros_like(one), fidelity=0.0, attends=False, matches=True)
    made = answer(unet, ReferenceControl([same], ALPHAS, 10))
    torch.testing.assert_close(made[0], before[0], rtol=0, atol=1e-4)
    assert (made[1] - before[1]).abs().max() > 1e-3
    other = answer(unet, reference(attends=False, matches=True))
    assert (other - before).abs().max() > 1e-3
    faithful = answer(unet, reference(attends=False, matches=True, fidelity=1.0))
    torch.testing.assert_close(faithful[2], before[2], rtol=0, atol=1e-5)
    assert torch.equal(answer(unet), before), "a hook is left"


def half() -> Tensor:
    """A region of the left half, (1, 1, height, width) in pixels."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1
    return mask


def test_a_region_bounds_an_lllite(tmp_path: Path, unet: UNet2DConditionModel) -> None:
    model, before = lite(tmp_path), answer(unet)
    everywhere = answer(unet, LiteControl([LiteUnit(model, picture(), 1.0, mask=torch.ones(1, 1, 64, 64))], 10))
    torch.testing.assert_close(everywhere, answer(unet, LiteControl([LiteUnit(model, picture(), 1.0)], 10)))
    nowhere = answer(unet, LiteControl([LiteUnit(model, picture(), 1.0, mask=torch.zeros(1, 1, 64, 64))], 10))
    assert torch.equal(nowhere, before)
    left = (answer(unet, LiteControl([LiteUnit(model, picture(), 1.0, mask=half())], 10)) - before).abs()
    whole = (everywhere - before).abs()
    assert left[..., :3].mean() > 0.3 * whole[..., :3].mean() and left[..., 5:].mean() < 0.5 * whole[..., 5:].mean()


@pytest.mark.parametrize("more", some([{}, {"attends": False, "matches": True}, {"fidelity": 0.5}], 1))
def test_a_region_bounds_a_reference(unet: UNet2DConditionModel, more: dict[str, Any]) -> None:
    before, whole = answer(unet), answer(unet, reference(**more))
    nowhere = answer(unet, reference(mask=torch.zeros(1, 1, 64, 64), **more))
    torch.testing.assert_close(nowhere, before, rtol=0, atol=1e-5)
    everywhere = answer(unet, reference(mask=torch.ones(1, 1, 64, 64), **more))
    torch.testing.assert_close(everywhere, whole, rtol=0, atol=1e-5)
    left = (answer(unet, reference(mask=half(), **more)) - before).abs()
    assert 0 < left[..., 5:].mean() < left[..., :3].mean()


def test_fidelity_by_mode() -> None:
    assert style_fidelity(0.5, ControlMode.BALANCED, hires=False, xl=False) == 0.5
    assert style_fidelity(0.5, ControlMode.BALANCED, hires=False, xl=True) == 0.125
    assert style_fidelity(0.5, ControlMode.CONTROL, hires=False, xl=True) == 1.0
    assert style_fidelity(0.5, ControlMode.PROMPT, hires=False, xl=False) == 0.0
    assert style_fidelity(0.5, ControlMode.CONTROL, hires=True, xl=False) == 0.0
