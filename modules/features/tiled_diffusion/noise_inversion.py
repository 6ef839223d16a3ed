"""Noise inversion: a pass over a picture begins with the noise that the picture could have been made from.

x_T is the latent followed backwards to the highest noise level (modules/features/alternative_test/inversion.py), by the
prompt alone, through the tiles; the noise of the pass is (x_T - x_0) / sigma_T. "Retouch" r shows the model the
timestep t / r.
Renoise mixes in the noise n of the seed where the picture has detail, which the way back smooths:

    ((1 - m) * noise + m * n) / sqrt((1 - m)^2 + m^2), m = min(1, strength * v / (v + 0.01)),

with v the variance of the grey picture in a box of the kernel's side: the coefficient of a self-guided filter, He et
al. (2010), "Guided Image Filtering". The words and numbers are those of the extension Tiled Diffusion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from modules.features.alternative_test.inversion import euler_inversion
from modules.features.tiled_diffusion.declare import KEY, TiledDiffusionArguments
from modules.generation.conditions import ConditionsOf
from modules.generation.encoding import to_tensor
from modules.generation.passes import model_sigmas
from modules.generation.pipeline import PassContext, PassHook
from modules.parameters import RequestError
from modules.sampling import Conditioning, ConditionsAt, Interrupted, UNet
from modules.sampling.denoiser import SigmaPrediction
from modules.sampling.guidance import Guidance, GuidanceOptions

_REGULARISATION: Final = 0.01


def detail_share(grey: Tensor, kernel: int) -> Tensor:
    """How much detail a picture (1, 1, height, width) from 0 to 1 has in a box of `kernel` about each place: 0 to 1."""

    def mean(picture: Tensor) -> Tensor:
        before = kernel // 2
        around = (before, kernel - 1 - before, before, kernel - 1 - before)
        return functional.avg_pool2d(functional.pad(picture, around, mode="replicate"), kernel, stride=1)

    variance = (mean(grey * grey) - mean(grey) ** 2).clamp_min(0)
    return variance / (variance + _REGULARISATION)


@dataclass(frozen=True, slots=True)
class Renoise:
    """How much fresh noise a pass over `picture` gets back where there is detail."""

    picture: Image.Image
    strength: float
    kernel: int

    def mixed(self, found: Tensor, fresh: Tensor) -> Tensor:
        """`found` noise with `fresh` noise in it, both (images, channels, height, width)."""
        grey = (to_tensor([self.picture.convert("L").convert("RGB")])[:, :1] + 1) / 2
        height, width = found.shape[2:]
        share = functional.adaptive_avg_pool2d(detail_share(grey, self.kernel), (height, width)).to(found)
        share = (share * self.strength).clamp(0, 1)
        return ((1 - share) * found + share * fresh) / ((1 - share) ** 2 + share**2) ** 0.5


class NoiseInversion(PassHook):
    """Has a pass begin with the noise that its picture leads to. `stopped` says whether the job is to be left."""

    def __init__(
        self,
        context: PassContext,
        arguments: TiledDiffusionArguments,
        renoise: Renoise | None,
        stopped: Callable[[], bool],
    ) -> None:
        self.steps_before = arguments.inversion_steps
        self._context = context
        self._arguments = arguments
        self._renoise = renoise
        self._stopped = stopped
        self._unet: UNet | None = None
        self._conditions: ConditionsAt | None = None
        self._found: Tensor | None = None
        self._next = 0

    def around(self, unet: UNet) -> UNet:
        """Remembers what answers for the whole picture; the pass itself is left as it is."""
        self._unet = unet
        return unet

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        """Remembers what guides the pass, which is left as it is."""

        def remembered(prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
            self._conditions = conditions_of(prompts, negatives)
            return self._conditions

        return remembered

    def first_noise(self, noise: Tensor) -> Tensor:
        """The noise of the picture; of a sampler that takes image by image, that of the next one."""
        if self._found is None:
            try:
                self._found = self._noise_of_picture().to(noise)
            except Interrupted:
                # The first call of the pass itself ends the job in the same way.
                return noise
        found = self._found[self._next : self._next + noise.shape[0]]
        self._next += noise.shape[0]
        return found if self._renoise is None else self._renoise.mixed(found, noise)

    @torch.no_grad()
    def _noise_of_picture(self) -> Tensor:
        context, arguments = self._context, self._arguments
        unet, conditions, latent = self._unet, self._conditions, context.work.init_latent
        assert unet is not None and conditions is not None and latent is not None
        model = model_sigmas(context.pipeline.model, context.resolved.settings.sampling, context.work.spec)
        retouch = arguments.inversion_retouch

        def retouched(x: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
            return unet(x, timesteps / retouch, conditioning)

        def check(call: int) -> None:
            if self._stopped():
                raise Interrupted

        # Of a prompt that changes on the way, the text it begins with.
        first = conditions(0)
        x, extra = latent.to(context.pipeline.device, torch.float32), context.work.extra_channels
        denoise = Guidance(
            SigmaPrediction(retouched, model, context.pipeline.model.predicts.kind),
            lambda call: first,
            GuidanceOptions(cfg_scale=1.0),
            total_calls=arguments.inversion_steps,
            extra_channels=None if extra is None else extra.to(x),
            before_call=check,
        )
        levels = model.uniform(arguments.inversion_steps).flip(0)
        return (euler_inversion(denoise, x, levels, context.report) - x) / levels[-1]


def noise_inversion(
    arguments: TiledDiffusionArguments, context: PassContext, stopped: Callable[[], bool]
) -> Sequence[PassHook]:
    """What inverts the noise of a pass over a picture of the request; nothing in any other pass."""
    work, family = context.work, context.pipeline.model.family
    if not arguments.noise_inversion or context.is_refiner or context.is_hires or work.init_latent is None:
        return ()
    if family.flow is not None:
        raise RequestError(
            f"{KEY}: noise inversion looks for the noise that was added to a picture, and {family.label} mixes it in: "
            "turn noise inversion off, or choose another checkpoint."
        )
    renoise = None
    if work.source is not None and arguments.renoise_strength > 0:
        renoise = Renoise(work.source.picture, arguments.renoise_strength, arguments.renoise_kernel)
    return (NoiseInversion(context, arguments, renoise, stopped),)
