"""Control models in a step: what they need is sent to the card with the first forward, and no later one waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.attentions import attention_count
from modules.generation.control.image_prompts import ImagePrompt, ImagePrompts
from modules.generation.control.reference import ReferenceControl, ReferencePicture
from modules.generation.control.residuals import ControlResiduals, ControlUnit
from modules.generation.pipeline import PassHook, residuals_of
from modules.generation.unet import unet_function
from modules.sampling import CallPosition, Conditioning, scaled_linear_alphas_cumprod
from modules.sampling.control import Weighting
from modules.weights.control.ip_adapter import ImageAdapter
from modules.weights.control.reading import ControlModel
from tests.amounts import some
from tests.checkpoints import make_modules
from tests.control_models import SMALL, make_controlnet
from tests.pretend_card import CARD, PretendCard

HALF = torch.ones(1, 1, 64, 64)


def there(*shape: int) -> Tensor:
    return torch.zeros(*shape, device=CARD)


def controlnet() -> PassHook:
    module: nn.Module = make_controlnet()
    model = ControlModel(Path("canny.safetensors"), ControlKind.CONTROLNET, "SD1", module.to(CARD))
    weighting = Weighting((1.0,) * 5, positive_only=True, mask=HALF)
    return ControlResiduals([ControlUnit(model, torch.zeros(1, 3, 64, 64), weighting)], 10)


def pictures() -> PassHook:
    unet = make_modules(SMALL).unet
    widths = [module.to_q.out_features for name, module in unet.named_modules() if name.endswith("attn2")]
    adapter = ImageAdapter(nn.Identity(), [(int(width), 64) for width in widths], wants_states=False, view_width=8)
    model = ControlModel(Path("ip-adapter.safetensors"), ControlKind.IP_ADAPTER, "SD1", adapter)
    weights = (1.0,) * attention_count(unet).total
    return ImagePrompts([ImagePrompt(model, torch.zeros(1, 4, 64), torch.zeros(1, 4, 64), weights, mask=HALF)], 10)


def references() -> PassHook:
    seen = ReferencePicture(torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8))
    both = [seen, replace(seen, attends=False, matches=True)]
    return ReferenceControl(both, scaled_linear_alphas_cumprod(), 10)


@pytest.mark.parametrize("make", some([controlnet, pictures, references], 1))
def test_no_forward_but_the_first_waits(make: Callable[[], PassHook]) -> None:
    hook, unet = make(), make_modules(SMALL).unet
    nn.Module.to(unet, CARD)
    text = Conditioning(there(3, 9, 64), {}, 1)
    with torch.no_grad(), hook.patched(unet):
        predict = unet_function(unet, channels_last=False, residuals=residuals_of([hook]))
        waits = []
        for call in range(3):
            with PretendCard() as card:
                hook.begin_call(CallPosition(call, 10, range(2)))
                predict(there(3, 4, 8, 8), there(3), text)
            waits.append(card.waits)
    assert waits[0], "nothing was sent, so that nothing is shown here"
    assert waits[1:] == [[], []]
