"""The UNet: noise prediction on cached latents, given the frozen text encoder's context."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn

from modules.hardware.device import move
from modules.hardware.model_configs import set_attention_processor
from training.captions import caption
from training.latents import sample
from training.loop import mixed_precision
from training.text import WIDTH, TextModel
from training.tokens import Tokens

CHANNELS = (64, 128, 160)
HEADS = 8
STEPS = 1000
EMPTY_SHARE = 0.1
TEST_COUNT = 160


class Fp32Attention:
    """Attention with fp32 queries, keys and values: the backward pass is four times as fast as in bfloat16 on a CPU."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: None = None,
    ) -> Tensor:
        """Attend from [b, n, c] to itself or to a context [b, m, c]; masks are not used in SD1."""
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        projections = attention.to_q(hidden_states), attention.to_k(source), attention.to_v(source)
        heads = [part.unflatten(-1, (attention.heads, -1)).transpose(1, 2).float() for part in projections]
        with torch.autocast(hidden_states.device.type, enabled=False):
            mixed = functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        projected: Tensor = attention.to_out[0](mixed.to(hidden_states.dtype))
        return projected


def build_unet() -> UNet2DConditionModel:
    """The narrow SD1 UNet: cross attention at the two lower of three levels, eight heads everywhere."""
    unet: UNet2DConditionModel = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,
        norm_num_groups=32,
    )
    for name, parameter in unet.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias", "proj_out.weight", "proj_out.bias")):
            nn.init.zeros_(parameter)
    return unet


def alphas_cumprod() -> Tensor:
    """SD1's schedule ("scaled linear" 0.00085 to 0.012): cumulative products of 1 - beta, [1000]."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


class DiffusionTask:
    """Stage three, for `training.loop`."""

    ends = ("conv_in", "conv_out")

    def __init__(self, cache: Path, text: TextModel, tokens: Tokens, device: str, batch: int = 64) -> None:
        saved = torch.load(cache)
        self.latents: Tensor = saved["latents"]
        self.seed: int = saved["seed"]
        self.tokens, self.device, self.batch = tokens, device, batch
        self.text = text.to(device).eval().requires_grad_(False)
        self.model = build_unet()
        if device == "cpu":
            set_attention_processor(self.model, Fp32Attention())
        self.average = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.alphas = alphas_cumprod()

    def _context(self, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        texts = [caption(sample(self.seed, int(i))[0], rng) if rng.random() >= EMPTY_SHARE else "" for i in indices]
        with torch.no_grad(), mixed_precision(self.device):
            context: Tensor = self.text(self.tokens.batch(texts).to(self.device))
        return context

    def _loss(self, model: nn.Module, indices: np.ndarray, rng: np.random.Generator, noise: Tensor) -> Tensor:
        """Squared error of the noise, weighted 1 + 1/SNR: the error of the v-prediction that it amounts to."""
        count = len(indices)
        clean = self.latents[torch.from_numpy(indices)].float()
        times = torch.from_numpy((rng.permutation(count) + rng.random(count)) * STEPS / count).long()
        alpha = self.alphas[times][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        context = self._context(indices, rng)
        with mixed_precision(self.device):
            predicted: Tensor = model(noisy.to(self.device), times.to(self.device), context).sample
        error = (predicted.float() - noise.to(self.device)).square() / alpha.to(self.device)
        mean: Tensor = error.mean()
        return mean

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """The loss of a random batch of cached latents, times spread evenly."""
        indices = rng.integers(TEST_COUNT, len(self.latents), self.batch)
        return self._loss(self.model, indices, rng, torch.randn(self.batch, *self.latents.shape[1:]))

    def after_step(self, progress: float, leader: bool) -> None:
        """Keep an average over about a hundred updates."""
        if not leader:
            return
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value.cpu(), 0.01)

    @torch.no_grad()
    def report(self) -> str:
        """The averaged model's loss on latents that are not trained on, with fixed noise."""
        model = build_unet()
        move(model, self.device)
        set_attention_processor(model, Fp32Attention())
        model.load_state_dict(self.average)
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(TEST_COUNT, *self.latents.shape[1:], generator=generator)
        loss = self._loss(model.eval(), np.arange(TEST_COUNT), np.random.default_rng(5), noise)
        return f"test loss {float(loss):.4f}"

    def state(self) -> dict[str, Tensor]:
        """The weights, and their average under `average.*`."""
        averaged = {f"average.{name}": value for name, value in self.average.items()}
        return {**self.model.state_dict(), **averaged}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take both sets of weights of a checkpoint."""
        self.average = {name[8:]: value for name, value in state.items() if name.startswith("average.")}
        self.model.load_state_dict({name: value for name, value in state.items() if not name.startswith("average.")})
