"""Encode the training pictures once, so that the diffusion stage never touches the autoencoder."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from training.composition import Composition, random_composition
from training.loop import mixed_precision
from training.rendering import render
from training.vae import Autoencoder, to_tensor

BATCH = 16


@dataclass(frozen=True, slots=True)
class Whitening:
    """White = (normalised latent - mean) @ forward.T per cell; `backward` is the inverse matrix. Shapes [4], [4, 4]."""

    mean: Tensor
    forward: Tensor
    backward: Tensor

    def apply(self, latents: Tensor) -> Tensor:
        """Normalised latents [b, 4, h, w] of the autoencoder to white ones."""
        return torch.einsum("ij,bjhw->bihw", self.forward, latents - self.mean[:, None, None])

    def undo(self, latents: Tensor) -> Tensor:
        """The reverse of `apply`."""
        return torch.einsum("ij,bjhw->bihw", self.backward, latents) + self.mean[:, None, None]


def fit_whitening(latents: Tensor) -> Whitening:
    """Unit variance and no correlation between channels, by the symmetric square root of the covariance."""
    flat = latents.float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double()
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    root = values.sqrt()
    forward = vectors @ torch.diag(1 / root) @ vectors.T
    backward = vectors @ torch.diag(root) @ vectors.T
    return Whitening(mean.float(), forward.float(), backward.float())


def sample(seed: int, index: int) -> tuple[Composition, np.random.Generator]:
    """The composition of one training picture and the generator that places it."""
    rng = np.random.default_rng((seed, index))
    return random_composition(rng), rng


@torch.no_grad()
def _encode(model: Autoencoder, seed: int, indices: range, device: str) -> Tensor:
    parts = []
    for start in range(indices.start, indices.stop, BATCH):
        pictures = [render(*sample(seed, i)) for i in range(start, min(start + BATCH, indices.stop))]
        with mixed_precision(device):
            parts.append(model.encode(to_tensor(pictures).to(device)).half().cpu())
    return torch.cat(parts)


def _worker(rank: int, model: Autoencoder, seed: int, ranges: list[range], device: str, file: Path) -> None:
    torch.set_num_threads(1)
    torch.save(_encode(model, seed, ranges[rank], device), file.with_suffix(f".part{rank}"))


def build_cache(file: Path, model: Autoencoder, count: int, seed: int, device: str, workers: int) -> None:
    """Encode `count` pictures and save normalised latents (fp16) with their whitening."""
    if file.exists():
        return
    model.to(device).eval()
    edges = np.linspace(0, count, workers + 1).astype(int).tolist()
    ranges = [range(a, b) for a, b in itertools.pairwise(edges)]
    if workers == 1:
        latents = _encode(model, seed, ranges[0], device)
    else:
        model.share_memory()
        spawn(_worker, (model, seed, ranges, device, file), nprocs=workers)  # type: ignore[no-untyped-call]  # so in torch
        parts = [file.with_suffix(f".part{rank}") for rank in range(workers)]
        latents = torch.cat([torch.load(part) for part in parts])
        for part in parts:
            part.unlink()
    white = fit_whitening(latents[:20_000])
    statistics = {"mean": white.mean, "forward": white.forward, "backward": white.backward}
    torch.save({"latents": white.apply(latents.float()).half(), "seed": seed, "whitening": statistics}, file)


def load_whitening(file: Path) -> Whitening:
    """The whitening that a cache was made with."""
    return Whitening(**torch.load(file, mmap=True)["whitening"])
