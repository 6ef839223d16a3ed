"""What a picture takes of the device in each memory mode: planned, and counted byte by byte without a device.

    python -m benchmarks.memory_modes

The models have the published sizes and no memory: their forwards run on tensors that only know their shape, and every
storage that lives is counted. Workspaces of cuDNN are not among them. Then, with `--stream`, what streaming an SD 1.5
UNet costs on the CPU, where the copies are made in the open: CPU seconds of one thread with and without.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.unet_dtype import random_modules
from modules.hardware.budget import MODES, MemoryMode, RequestSize, peak
from modules.hardware.residence import Residence
from modules.hardware.sizes import size_of
from tests.checkpoints import SD15, _make_text_encoder, _make_unet, _make_vae
from tests.hardware.byte_counter import ByteCounter, without_memory
from tests.hardware.test_budget import _sdxl_unet

HALF = {"dtype": torch.float16}


def hollow(name: str, mode: FakeTensorMode) -> tuple[nn.Module, nn.Module, nn.Module]:
    """UNet, VAE and text encoder of a published size in 16 bits, without memory."""
    torch.set_default_dtype(torch.float16)
    try:
        with torch.device("meta"):
            unet = _make_unet(SD15) if name == "SD1.5" else _sdxl_unet()
            parts = unet, _make_vae(SD15), _make_text_encoder(SD15)
    finally:
        torch.set_default_dtype(torch.float32)
    for part in parts:
        without_memory(part, mode)
    return parts


@torch.no_grad()
def counted(name: str, side: int, memory_mode: MemoryMode) -> tuple[int, int]:
    """(planned, counted) peak bytes of two steps with their negative prompt and a decode."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    unet, vae, text = hollow(name, mode)
    size, request = size_of(unet, vae, text), RequestSize(side, side)
    residence = Residence(torch.device("cpu"), unet, (vae, text))
    width = unet.config.cross_attention_dim
    with mode, ByteCounter([unet, vae, text]) as counter:
        if memory_mode != "full":
            residence.arrange(memory_mode)
        text(torch.zeros(2, 77, dtype=torch.long))
        added = {"text_embeds": torch.empty(2, 1280, **HALF), "time_ids": torch.empty(2, 6, **HALF)}
        for _ in range(2):
            unet(
                torch.empty(2, 4, side // 8, side // 8, **HALF),
                torch.full((2,), 500.0),
                encoder_hidden_states=torch.empty(2, 77, width, **HALF),
                added_cond_kwargs=added,
            )
        vae.decode(torch.empty(1, 4, side // 8, side // 8, **HALF))
    # In "full" the weights lie where they are counted as known.
    weights = size.weights if memory_mode == "full" else 0
    return peak(size, request, memory_mode), counter.peak + weights


@torch.no_grad()
def streaming_cost(side: int, rounds: int) -> float:
    """CPU seconds of a streamed step over those of a plain one, taking turns."""
    torch.set_num_threads(1)
    modules = random_modules()
    unet = modules.unet.to(dtype=torch.bfloat16, memory_format=torch.channels_last)
    residence = Residence(torch.device("cpu"), unet, ())
    latents, context = torch.randn(2, 4, side // 8, side // 8).bfloat16(), torch.randn(2, 77, 768).bfloat16()

    def step() -> float:
        began = time.process_time()
        unet(latents, 500, context)
        return time.process_time() - began

    ratios = []
    for _ in range(rounds):
        residence.arrange("full")
        step()
        plain = step()
        residence.arrange("lowvram")
        step()
        ratios.append(step() / plain)
    return statistics.median(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", type=int, metavar="SIDE", help="also time streaming at this size, 256 say")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    print("| model, picture | mode | planned, GB | counted, GB |\n|---|---|---|---|")
    for name, side in (("SD1.5", 512), ("SDXL", 1024)):
        for memory_mode in MODES:
            planned, found = counted(name, side, memory_mode)
            print(f"| {name} {side}² | {memory_mode} | {planned / 1e9:.2f} | {found / 1e9:.2f} |", flush=True)
    if asked.stream:
        print(f"streamed / plain at {asked.stream}², CPU seconds: {streaming_cost(asked.stream, asked.rounds):.3f}")


if __name__ == "__main__":
    main()
