"""How fast an SD1.5-size UNet and VAE run on this CPU in fp32 and bf16, contiguous and channels_last.

    python -m benchmarks.unet_dtype [--side 256] [--repeats 3]

Prints CPU seconds of one thread, which other work on the machine disturbs little, and the best wall time. What
`modules/hardware` chooses on a CPU by default rests on this table.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from diffusers.utils import logging
from torch import nn

from modules.hardware.device import move
from modules.hardware.machine import probe_machine
from tests.checkpoints import SD15, Modules, _make_unet, _make_vae, make_text_encoders

M = TypeVar("M", bound=nn.Module)


def best(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The best CPU and wall seconds of several runs, after one that warms caches up."""
    run()
    cpu, wall = [], []
    for _ in range(repeats):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        run()
        cpu.append(time.process_time() - cpu_start)
        wall.append(time.perf_counter() - wall_start)
    return min(cpu), min(wall)


def converted(module: M, dtype: torch.dtype, layout: torch.memory_format) -> M:
    """`module` in this type and memory layout, ready to compute."""
    move(module, dtype)
    to: Callable[..., object] = module.to
    to(memory_format=layout)
    return module.eval()


def random_modules() -> Modules:
    """SD1.5-size modules filled by a cheap distribution, since torch's own initialisation takes longer than a step."""
    with torch.device("meta"):
        modules = Modules(_make_unet(SD15), _make_vae(SD15), make_text_encoders(SD15))
    filled: tuple[nn.Module, ...] = modules.unet, modules.vae
    for module in filled:
        module.to_empty(device="cpu")
        for parameter in module.parameters():
            parameter.requires_grad_(False).uniform_(-0.02, 0.02)
    return modules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    print(probe_machine())
    print("| dtype | layout | UNet step, batch 2: CPU s | wall s | VAE decode: CPU s | wall s |")
    print("|---|---|---|---|---|---|")
    modules, cell = random_modules(), options.side // 8
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (torch.contiguous_format, torch.channels_last):
            unet = converted(modules.unet, dtype, layout)
            vae = converted(modules.vae, dtype, layout)
            latents = torch.randn(2, 4, cell, cell, dtype=dtype).contiguous(memory_format=layout)
            context = torch.randn(2, 77, 768, dtype=dtype)
            step = best(partial(unet, latents, 500, context), options.repeats)
            decode = best(partial(vae.decode, latents[:1]), 1)
            name, order = str(dtype).removeprefix("torch."), str(layout).removeprefix("torch.")
            print(
                f"| {name} | {order} | {step[0]:.2f} | {step[1]:.2f} | {decode[0]:.2f} | {decode[1]:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
