"""The autoencoder: eight times smaller pictures with four channels, in diffusers' AutoencoderKL.

Latents are normalised per channel while training and lightly noised, so that the decoder forgives the small errors
that a diffusion model makes.
"""

import numpy as np
import torch
import torch.nn.functional as functional
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from training.composition import random_composition
from training.loop import mixed_precision
from training.rendering import SIZE, render

CHANNELS = (32, 64, 128, 128)
GROUPS = 8
LATENT_NOISE = 0.1
FREE_SHARE = 0.12
CROP = 64


def build_vae() -> AutoencoderKL:
    """The narrow SD1 autoencoder, every residual branch starting at zero."""
    vae: AutoencoderKL = AutoencoderKL(
        block_out_channels=CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=GROUPS,
    )
    for name, parameter in vae.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias", "to_out.0.weight", "to_out.0.bias")):
            nn.init.zeros_(parameter)
    return vae


class Autoencoder(nn.Module):
    """The autoencoder with the normalisation that the export later folds into its 1x1 convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.vae = build_vae()
        self.norm = nn.BatchNorm2d(4, affine=False, momentum=0.02)

    def encode(self, pictures: Tensor) -> Tensor:
        """[b, 3, h, w] in -1..1 to normalised latents [b, 4, h/8, w/8]."""
        assert self.vae.quant_conv is not None
        normalised: Tensor = self.norm(self.vae.quant_conv(self.vae.encoder(pictures))[:, :4].float())
        return normalised

    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents to pictures in -1..1."""
        pictures: Tensor = self.vae.decode(latents).sample
        return pictures.float()

    def forward(self, pictures: Tensor) -> Tensor:
        """Reconstruction through slightly noisy latents."""
        latents = self.encode(pictures)
        return self.decode(latents + LATENT_NOISE * torch.randn_like(latents))


def to_tensor(pictures: list[np.ndarray]) -> Tensor:
    """uint8 [h, w, 3] pictures to one contiguous float batch in -1..1."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return batch.contiguous().float().div_(127.5).sub_(1)


def picture_batch(rng: np.random.Generator, count: int, crop: int | None) -> Tensor:
    """Random pictures, whole or cut to `crop` pixels on the grid of cells."""
    pictures = []
    for _ in range(count):
        picture = render(random_composition(rng), rng, free=rng.random() < FREE_SHARE)
        if crop:
            x, y = (8 * int(rng.integers(0, (SIZE - crop) // 8 + 1)) for _ in range(2))
            picture = picture[y : y + crop, x : x + crop]
        pictures.append(picture)
    return to_tensor(pictures)


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1, squared error, and L1 of the differences of neighbours, which keeps edges sharp."""
    loss = functional.l1_loss(output, target) + functional.mse_loss(output, target)
    for axis in (2, 3):
        loss = loss + functional.l1_loss(output.diff(dim=axis), target.diff(dim=axis))
    return loss


class VaeTask:
    """Stage one, for `training.loop`: crops first, which are cheap and varied, then whole pictures."""

    ends = ("vae.encoder.conv_in", "vae.decoder.conv_out", "vae.quant_conv", "vae.post_quant_conv")
    crops_until = 0.65
    batch = 16

    def __init__(self, device: str) -> None:
        self.model = Autoencoder()
        self.device = device
        self.test = picture_batch(np.random.default_rng(99), 24, None)

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """The reconstruction loss of random pictures."""
        whole = progress > self.crops_until
        self.model.norm.train(not whole)
        count = self.batch // 4 if whole else self.batch
        pictures = picture_batch(rng, count, None if whole else CROP).to(self.device)
        with mixed_precision(self.device):
            output = self.model(pictures)
        return reconstruction_loss(output, pictures)

    def after_step(self, progress: float, leader: bool) -> None:
        """Nothing to keep: the rate falls to zero, which averages enough."""

    @torch.no_grad()
    def report(self) -> str:
        """L1 and PSNR on whole test pictures."""
        self.model.eval()
        pictures = self.test.to(self.device)
        with mixed_precision(self.device):
            output = self.model.decode(self.model.encode(pictures))
        self.model.train()
        error = (output.clamp(-1, 1) - pictures) / 2
        return f"L1 {2 * error.abs().mean():.4f}  PSNR {-10 * error.square().mean().log10():.2f} dB"

    def state(self) -> dict[str, Tensor]:
        """All weights and the statistics of the latents."""
        return self.model.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a checkpoint."""
        self.model.load_state_dict(state)
