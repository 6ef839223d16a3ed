"""From a UNet's answer to what samplers work with: a denoised latent, or the noise at a discrete timestep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import torch
from torch import Tensor

from modules.families import EDM_TRAINING, PredictionType
from modules.sampling.conditioning import Conditioning
from modules.sampling.model_schedule import FlowSigmas, LcmSigmas, ModelSigmas

# unet(x, t, conditioning) -> the model's raw prediction. x is (rows, channels, height, width) with any extra input
# channels (inpainting, instruct-pix2pix) already joined on; t is (rows,), fractional timesteps as float32.
UNet = Callable[[Tensor, Tensor, Conditioning], Tensor]


# The boundary condition of latent consistency models: Luo et al. (2023), arXiv:2310.04378.
_LCM_SIGMA_DATA: Final = 0.5
_LCM_TIMESTEP_SCALING: Final = 10.0


class Prediction(Protocol):
    """How one family of samplers sees the model.

    `level` is a noise level (sigma) or a timestep: a scalar tensor on the CPU, so that reading it never waits for a
    device. `blends_input` says where an inpainting mask acts: on the model's input or on its answer. `denoised` turns
    an answer into an estimate of the finished latent, and `answer_for` back. `image_scale` is what the finished latent
    is multiplied by in x.
    """

    blends_input: bool

    @property
    def alphas_cumprod(self) -> Tensor: ...

    def __call__(self, x: Tensor, level: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor: ...

    def denoised(self, x: Tensor, answer: Tensor, level: Tensor) -> Tensor: ...

    def answer_for(self, x: Tensor, denoised: Tensor, level: Tensor) -> Tensor: ...

    def image_scale(self, level: Tensor) -> float: ...


class SigmaPrediction:
    """x = image + sigma * noise in, the denoised latent out: what k-diffusion's samplers ask for.

    Karras et al. (2022), arXiv:2206.00364, section 5: the input is scaled to unit variance and the answer turned
    into an estimate of the image.
    """

    blends_input = False

    def __init__(self, unet: UNet, model: ModelSigmas, prediction_type: PredictionType = "epsilon") -> None:
        self._unet = unet
        self._model = model
        self._kind = prediction_type
        training = EDM_TRAINING.get(prediction_type)
        # Of pictures, as the model was trained to expect it: with timesteps it is 1.
        self._sigma_data = 1.0 if training is None else training.sigma_data

    @property
    def alphas_cumprod(self) -> Tensor:
        return self._model.alphas_cumprod

    def __call__(self, x: Tensor, level: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor:
        data = self._sigma_data
        variance = level**2 + data**2
        timestep = self._model.unet_timestep(level)
        answer = _call(self._unet, x * (1 / variance**0.5), timestep, conditioning, extra)
        match self._kind:
            case "epsilon":
                return x - answer * level
            case "edm":
                return answer * (level * data / variance**0.5) + x * (data**2 / variance)
            case "v_prediction" | "edm_v_prediction":
                return answer * (-level * data / variance**0.5) + x * (data**2 / variance)
            case "flow":
                raise ValueError("A flow is no prediction of a model whose noise is added to the picture.")

    def denoised(self, x: Tensor, answer: Tensor, level: Tensor) -> Tensor:
        return answer

    def answer_for(self, x: Tensor, denoised: Tensor, level: Tensor) -> Tensor:
        return denoised

    def image_scale(self, level: Tensor) -> float:
        return 1.0


class LcmPrediction(SigmaPrediction):
    """A latent consistency model: timesteps of the distilled model, and its skip connection at the boundary."""

    def __init__(self, unet: UNet, model: LcmSigmas) -> None:
        super().__init__(unet, model)

    def __call__(self, x: Tensor, level: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor:
        denoised = super().__call__(x, level, conditioning, extra)
        scaled = self._model.sigma_to_t(level) * _LCM_TIMESTEP_SCALING
        total = scaled**2 + _LCM_SIGMA_DATA**2
        return denoised * (scaled / total**0.5) + x * (_LCM_SIGMA_DATA**2 / total)


class FlowPrediction:
    """x = (1 - level) * image + level * noise in, the denoised latent out.

    The model answers with noise - image, so that image = x - level * answer. Lipman et al. (2022), arXiv:2210.02747.
    """

    blends_input = False

    def __init__(self, unet: UNet, model: FlowSigmas) -> None:
        self._unet = unet
        self._model = model

    @property
    def alphas_cumprod(self) -> Tensor:
        return self._model.alphas_cumprod

    def __call__(self, x: Tensor, level: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor:
        return x - _call(self._unet, x, self._model.unet_timestep(level), conditioning, extra) * level

    def denoised(self, x: Tensor, answer: Tensor, level: Tensor) -> Tensor:
        return answer

    def answer_for(self, x: Tensor, denoised: Tensor, level: Tensor) -> Tensor:
        return denoised

    def image_scale(self, level: Tensor) -> float:
        return 1.0 - float(level)


class TimestepPrediction:
    """x = sqrt(a) * image + sqrt(1 - a) * noise in, the noise out: what DDIM, PLMS and UniPC ask for."""

    blends_input = True

    def __init__(self, unet: UNet, model: ModelSigmas, prediction_type: PredictionType = "epsilon") -> None:
        self._unet = unet
        self._model = model
        self._predicts_v = prediction_type == "v_prediction"

    @property
    def alphas_cumprod(self) -> Tensor:
        return self._model.alphas_cumprod

    def __call__(self, x: Tensor, level: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor:
        answer = _call(self._unet, x, level, conditioning, extra)
        if not self._predicts_v:
            return answer
        alpha_bar = self._alpha_bar(level)
        return answer * alpha_bar.sqrt() + x * (1 - alpha_bar).sqrt()

    def denoised(self, x: Tensor, answer: Tensor, level: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar(level)
        return (x - answer * (1 - alpha_bar).sqrt()) / alpha_bar.sqrt()

    def answer_for(self, x: Tensor, denoised: Tensor, level: Tensor) -> Tensor:
        alpha_bar = self._alpha_bar(level)
        return (x - denoised * alpha_bar.sqrt()) / (1 - alpha_bar).sqrt()

    def image_scale(self, level: Tensor) -> float:
        return float(self._alpha_bar(level).sqrt())

    def _alpha_bar(self, timestep: Tensor) -> Tensor:
        # UniPC calls between whole timesteps; as in A1111 the table is read at the whole step below. What a hook shows
        # instead of the true level may lie beyond the table.
        table = self._model.alphas_cumprod
        return table[timestep.long().clamp(0, len(table) - 1)]


def _call(unet: UNet, x: Tensor, timestep: Tensor, conditioning: Conditioning, extra: Tensor | None) -> Tensor:
    timesteps = torch.full((x.shape[0],), float(timestep), device=x.device, dtype=torch.float32)
    return unet(x if extra is None else torch.cat([x, extra.to(x)], dim=1), timesteps, conditioning).to(x.dtype)
