"""Where noise comes from: one stream per image, so that a picture never depends on its neighbours in a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from modules.hardware.streams import sent
from modules.sampling.philox import PhiloxStream
from modules.settings.choices import NoiseSource

# Above this mean cosine two noises count as parallel and A1111 mixes them linearly.
PARALLEL = 0.9995


class NoiseStream(Protocol):
    """A seeded sequence of normal draws."""

    def draw(self, shape: Sequence[int]) -> Tensor: ...


class TorchStream:
    """A torch generator, on the device whose numbers it gives."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._device = device
        self._generator = torch.Generator(device).manual_seed(seed)

    def draw(self, shape: Sequence[int]) -> Tensor:
        return torch.randn(tuple(shape), generator=self._generator, device=self._device)


def open_stream(seed: int, source: NoiseSource, device: torch.device) -> NoiseStream:
    """The stream of a seed: "GPU" draws on `device` itself, "CPU" on the CPU, "NV" as an NVIDIA card would.

    Apple's devices draw on the CPU, as A1111 does there. An unknown source name counts as GPU.
    """
    if source == "NV":
        return PhiloxStream(seed)
    on_cpu = source == "CPU" or device.type == "mps"
    return TorchStream(seed, torch.device("cpu") if on_cpu else device)


@dataclass(frozen=True, slots=True)
class Variation:
    """Blend each image's first noise towards that of another seed by `strength` (0: not at all, 1: wholly)."""

    seeds: tuple[int, ...]
    strength: float


class ImageNoise:
    """The noise of one sampling pass over a batch: each image draws from its own seed's stream.

    The first `draw` is the initial noise: variation seeds and seed resizing act on it alone. Later draws feed
    ancestral and stochastic samplers. With `seed_delta` (A1111's eta noise seed delta, ENSD) the later draws come
    from streams newly opened at seed + delta. A second pass (hires, img2img) needs a fresh object.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        seeds: Sequence[int],
        *,
        source: NoiseSource = "GPU",
        device: torch.device | str = "cpu",
        variation: Variation | None = None,
        resize_from: tuple[int, int] | None = None,
        seed_delta: int = 0,
        first: Tensor | None = None,
        change_first: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """`shape` is one image's latent (channels, height, width); `resize_from` another (height, width) in latents.

        `first`, (images, channels, height, width), is what the first draw gives instead of the seeds';
        `change_first` is what becomes of the first draw. Raises ValueError when there are fewer variation seeds than
        seeds.
        """
        if variation is not None and len(variation.seeds) < len(seeds):
            raise ValueError(f"{len(seeds)} seeds need as many variation seeds, but {len(variation.seeds)} were given.")
        self.shape = shape
        self.seeds = tuple(seeds)
        self.source: NoiseSource = source
        self.device = torch.device(device)
        self._variation = variation if variation is not None and variation.strength != 0 else None
        self._first_shape = shape if resize_from is None else (shape[0], *resize_from)
        self._resize_from = resize_from
        self._seed_delta = seed_delta
        self._first = first
        self._change_first = change_first
        self._streams = [self.open(seed) for seed in self.seeds]
        self._drew_first = False

    def of_image(self, index: int) -> ImageNoise:
        """A fresh object for one image of the batch alone: it draws what that image draws here."""
        variation = self._variation
        return ImageNoise(
            self.shape,
            self.seeds[index : index + 1],
            source=self.source,
            device=self.device,
            variation=None if variation is None else Variation((variation.seeds[index],), variation.strength),
            resize_from=self._resize_from,
            seed_delta=self._seed_delta,
            first=None if self._first is None else self._first[index : index + 1],
            change_first=self._change_first,
        )

    def open(self, seed: int) -> NoiseStream:
        """A further stream of this pass's source."""
        return open_stream(seed, self.source, self.device)

    def draw(self) -> Tensor:
        """Noise for the whole batch: (images, channels, height, width), float32, on the pass's device."""
        if self._drew_first:
            return sent(torch.stack([stream.draw(self.shape) for stream in self._streams]), self.device)
        noises = [self._initial(index) for index in range(len(self.seeds))]
        self._drew_first = True
        if self._seed_delta:
            self._streams = [self.open(seed + self._seed_delta) for seed in self.seeds]
        drawn = sent(torch.stack(noises), self.device)
        return drawn if self._change_first is None else self._change_first(drawn)

    def seeded(self, seed: int, shape: Sequence[int]) -> Tensor:
        """A single draw from a stream of its own, left where its source draws it.

        A Brownian tree takes dozens of them a step: it adds them up there, and only the sum goes to the device.
        """
        return self.open(seed).draw(shape)

    def _initial(self, index: int) -> Tensor:
        if self._first is not None:
            return self._first[index].to(self.device)
        own_size = self._first_shape == self.shape
        stream = self._streams[index]
        noise = stream.draw(self.shape) if own_size else self.open(self.seeds[index]).draw(self._first_shape)
        if self._variation is not None:
            other = self.open(self._variation.seeds[index]).draw(self._first_shape)
            noise = slerp(self._variation.strength, noise, other)
        return noise if own_size else paste_centred(noise, stream.draw(self.shape))


def slerp(amount: float, low: Tensor, high: Tensor) -> Tensor:
    """Spherical interpolation from `low` (amount 0) to `high` (amount 1) along the vectors of dimension 1.

    Two nearly parallel noises are mixed linearly with the weights the wrong way round: so A1111 does, and pictures
    already made depend on it.
    """
    cosine = (low / low.norm(dim=1, keepdim=True) * (high / high.norm(dim=1, keepdim=True))).sum(1)
    if cosine.mean() > PARALLEL:
        return low * amount + high * (1 - amount)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    from_low = (torch.sin((1 - amount) * angle) / sine).unsqueeze(1)
    from_high = (torch.sin(amount * angle) / sine).unsqueeze(1)
    return from_low * low + from_high * high


def paste_centred(patch: Tensor, canvas: Tensor) -> Tensor:
    """`canvas` with `patch` laid over its middle; what of the patch stands over the edges is cut off.

    Both are (channels, height, width). Offsets are halved towards minus infinity, as A1111 halves them.
    """
    result = canvas.clone()
    offset_y = (canvas.shape[1] - patch.shape[1]) // 2
    offset_x = (canvas.shape[2] - patch.shape[2]) // 2
    height = patch.shape[1] + 2 * min(offset_y, 0)
    width = patch.shape[2] + 2 * min(offset_x, 0)
    to_y, to_x, from_y, from_x = max(offset_y, 0), max(offset_x, 0), max(-offset_y, 0), max(-offset_x, 0)
    result[:, to_y : to_y + height, to_x : to_x + width] = patch[:, from_y : from_y + height, from_x : from_x + width]
    return result
