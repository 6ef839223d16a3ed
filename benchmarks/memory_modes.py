"""What a picture takes of the device in each memory mode: planned, and counted byte by byte without a device.

    python -m benchmarks.memory_modes [--stream 256 512]

The models have the published sizes, SDXL with both of its text encoders, and no memory: their forwards run on tensors
that only know their shape, and every storage that lives is counted. Workspaces of cuDNN are not among them. Then, with
`--stream`, what streaming an SD 1.5 UNet costs on the CPU, where the copies are made in the open: CPU seconds of one
thread, and how long a bare copy of the same weights takes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from benchmarks.unet_dtype import converted, random_modules
from modules.hardware.budget import MODES, MemoryMode, RequestSize, peak
from modules.hardware.model_configs import unet_config
from modules.hardware.model_size import size_of
from modules.hardware.offload import Offloader
from tests.checkpoints import SD15, _make_unet, _make_vae, make_text_encoders
from tests.hardware.byte_counter import ByteCounter, without_memory
from tests.hardware.test_budget import _sdxl_unet

half = partial(torch.empty, dtype=torch.float16)
PICTURES = (("SD1.5", 512), ("SDXL", 1024))


@dataclass(frozen=True)
class Hollow:
    """A model's parts, whose tensors know their shape and hold nothing."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    texts: tuple[nn.Module, ...]

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        return self.unet, self.vae, *self.texts


def big_g() -> CLIPTextModelWithProjection:
    """OpenCLIP's ViT-bigG/14 text encoder, the second one of SDXL: 695 million parameters."""
    return CLIPTextModelWithProjection(
        CLIPTextConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=20,
            hidden_act="gelu",
            projection_dim=1280,
        )
    )


def hollow(name: str, mode: FakeTensorMode) -> Hollow:
    """The parts of a published size in 16 bits."""
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device("meta"):
            vae, (clip,) = _make_vae(SD15), make_text_encoders(SD15)
            made = (
                Hollow(_make_unet(SD15), vae, (clip,))
                if name == "SD1.5"
                else Hollow(_sdxl_unet(), vae, (clip, big_g()))
            )
    finally:
        torch.set_default_dtype(torch.float32)
    for part in made.parts:
        without_memory(part, mode)
    return made


def picture(model: Hollow, side: int, steps: int = 2) -> None:
    """A prompt and its negative, steps of two rows, a decode: what a picture asks of the model."""
    for text in model.texts:
        text(torch.zeros(2, 77, dtype=torch.long), output_hidden_states=True)
    added = {"text_embeds": half(2, 1280), "time_ids": half(2, 6)}
    width, cells = unet_config(model.unet).cross_attention_dim, side // 8
    for _ in range(steps):
        model.unet(
            half(2, 4, cells, cells),
            torch.full((2,), 500.0),
            encoder_hidden_states=half(2, 77, width),
            added_cond_kwargs=added,
        )
    model.vae.decode(half(1, 4, cells, cells))


@torch.no_grad()
def counted(name: str, side: int, memory_mode: MemoryMode) -> tuple[int, int]:
    """(planned, counted) peak bytes of two steps with their negative prompt and a decode."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    model = hollow(name, mode)
    size = size_of(model.unet, model.vae, *model.texts)
    offloader = Offloader(torch.device("cpu"), model.unet, (model.vae, *model.texts))
    with mode, ByteCounter(model.parts) as counter:
        if memory_mode != "full":
            offloader.apply(memory_mode)
        picture(model, side)
    # In "full" the weights lie where they are counted as known.
    weights = size.weights if memory_mode == "full" else 0
    return peak(size, RequestSize(side, side), memory_mode), counter.peak + weights


@dataclass(frozen=True)
class Streaming:
    """CPU seconds of one step: with the UNet at rest, streamed with every copy in the open, and of the copies alone."""

    plain: float
    streamed: float
    copies: float

    def line(self, side: int) -> str:
        """A row of the table; what is left of a streamed step once the copies are hidden is its bookkeeping."""
        hidden = (self.streamed - self.copies) / self.plain
        cells = (self.plain, self.streamed, self.copies, self.streamed / self.plain, hidden)
        return f"| {side}² | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |"


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of the second of two runs: the first one meets cold caches and learns the pieces' order."""
    run()
    began = time.process_time()
    run()
    return time.process_time() - began


@torch.no_grad()
def streaming_cost(unet: UNet2DConditionModel, side: int, rounds: int) -> Streaming:
    """The medians over `rounds`, in which the three take turns."""
    width, cells = unet_config(unet).cross_attention_dim, side // 8
    latents, context = torch.randn(2, 4, cells, cells).bfloat16(), torch.randn(2, 77, width).bfloat16()
    offloader = Offloader(torch.device("cpu"), unet, ())
    weights = list(unet.parameters())
    place = torch.empty(max(one.numel() for one in weights), dtype=torch.bfloat16)

    def step() -> None:
        unet(latents, 500, context)

    def copy() -> None:
        for one in weights:
            place[: one.numel()].as_strided(one.shape, one.stride()).copy_(one)

    plain, streamed, copies = [], [], []
    for _ in range(rounds):
        offloader.apply("full")
        plain.append(seconds(step))
        offloader.apply("lowvram")
        streamed.append(seconds(step))
        offloader.close()
        copies.append(seconds(copy))
    return Streaming(statistics.median(plain), statistics.median(streamed), statistics.median(copies))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=int, nargs="+", metavar="SIDE", help="also time streaming at these sizes")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    print("| model, picture | mode | planned, GB | counted, GB |\n|---|---|---|---|")
    for name, side in PICTURES:
        for memory_mode in MODES:
            planned, found = counted(name, side, memory_mode)
            print(f"| {name} {side}² | {memory_mode} | {planned / 1e9:.2f} | {found / 1e9:.2f} |", flush=True)
    if arguments.stream:
        torch.set_num_threads(1)
        unet = converted(random_modules().unet, torch.bfloat16, torch.channels_last)
        print("\n| step, CPU s | plain | streamed | copies alone | streamed / plain | the same, copies hidden |")
        print("|---|---|---|---|---|---|")
        for side in arguments.stream:
            print(streaming_cost(unet, side, arguments.rounds).line(side), flush=True)
        print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
