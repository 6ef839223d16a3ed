"""A loaded checkpoint: its modules and everything that sampling must know about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen3.modeling_qwen3 import Qwen3Model
from transformers.models.t5.modeling_t5 import T5Stack

from modules.families import EDM_TRAINING, EdmTraining, Family, PredictionType
from modules.hardware.main_memory import give_back_memory
from modules.hardware.model_configs import DenoiserModule, VaeModule
from modules.weights.latent_scaling import LatentScaling

if TYPE_CHECKING:
    from transformers import DPTForDepthEstimation

ClipEncoder = CLIPTextModel | CLIPTextModelWithProjection
TextEncoder = ClipEncoder | Qwen3Model | T5Stack


@dataclass(frozen=True, slots=True)
class NoiseTraining:
    """The noise a model was trained on: betas run from `beta_start` to `beta_end`, linear in their square root."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    steps: int = 1000

    def alphas_cumprod(self) -> torch.Tensor:
        """The cumulated signal share ᾱ_t, float32 computed in float64, shape [steps] (latent-diffusion's `linear`)."""
        roots = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.steps, dtype=torch.float64)
        return torch.cumprod(1.0 - roots**2, dim=0).float()


@dataclass(frozen=True, slots=True)
class Predicts:
    """What a UNet predicts, and whether it was trained down to pure noise: Lin et al. (2023), arXiv:2305.08891.

    `sigma_range` is the lowest and highest noise level of a model trained by EDM, where its file says them.
    """

    kind: PredictionType
    zero_terminal_snr: bool = False
    sigma_range: tuple[float, float] | None = None

    @property
    def is_flow(self) -> bool:
        """Whether it was trained by flow matching, which nobody's word changes."""
        return self.kind == "flow"

    @property
    def edm(self) -> EdmTraining | None:
        """The noise that it was trained on, if that was by EDM."""
        training = EDM_TRAINING.get(self.kind)
        if training is None or self.sigma_range is None:
            return training
        low, high = self.sigma_range
        return replace(training, sigma_min=low, sigma_max=high)


@dataclass(slots=True)
class Model:
    """A checkpoint's modules on their device, and the facts that go with them.

    `release` frees the modules; only the facts remain.
    """

    unet: DenoiserModule
    vae: VaeModule
    text_encoders: tuple[TextEncoder, ...]
    """In the order of the family's `text_encoders`."""
    path: Path
    vae_path: Path | None
    """The external VAE in use; None when it is the checkpoint's own."""
    text_paths: tuple[Path | None, ...]
    """The file of each text encoder that lies in one of its own, None for those in the checkpoint's."""
    family: Family
    stated: Predicts
    """By its file or its family."""
    predicts: Predicts
    """As it is worked with: what a person set for this checkpoint goes before what is stated."""
    resolution: tuple[int, int] | None
    """Native (width, height) if the file states one."""
    default_resolution: tuple[int, int]
    """`resolution`, or what the family was trained at."""
    unet_channels: int
    """Input channels of the UNet: 4, or with what it is shown beside the latent: see `families.shown`."""
    latent_channels: int
    vae_factor: int
    """Pixels per latent cell along one side, 8 in every published Stable Diffusion."""
    latent_scaling: LatentScaling
    context_dim: int
    """Channels of the text that the UNet takes: those of all text encoders together."""
    text_widths: tuple[int, ...]
    """Channels of each text encoder."""
    noise: NoiseTraining
    title: str
    sha256: str | None
    depth: DPTForDepthEstimation | None = None
    """What estimates the depth of a picture, in main memory, for a UNet that is shown it."""

    @property
    def loaded(self) -> bool:
        return hasattr(self, "unet")

    def release(self) -> None:
        """Drop the modules and hand their memory back to the system and the device; calling it twice is harmless."""
        if self.loaded:
            del self.unet, self.vae, self.text_encoders, self.depth
        release_memory()


def release_memory() -> None:
    """Return what Python and the allocators hold but nobody uses, on the device and in main memory."""
    give_back_memory()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
