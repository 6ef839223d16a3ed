"""What a ControlNet costs a step of SD 1.5's size, beside a forward of its own model.

    python -m benchmarks.control_cost [--side 256] [--rows 2] [--rounds 3]

CPU seconds of one thread in 32 bits, on random weights: the UNet alone, the UNet with a unit, with a unit that is
outside of its guidance window, and the control model alone, taking turns after one that warms caches up. What the unit
adds to the UNet's forward is to be at most 1.05 times what its model takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel

from benchmarks.unet_dtype import converted, random_modules
from modules.catalogue.control_kinds import ControlKind
from modules.generation.control.residuals import ControlResiduals, ControlUnit, residual_count
from modules.generation.pipeline import residuals_of
from modules.generation.unet import unet_function
from modules.sampling import CallPosition, Conditioning
from modules.sampling.control import Weighting, residual_weights
from modules.weights.control.reading import ControlModel

_WIDTH = 768


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    run()
    return time.process_time() - started


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, cells = arguments.rows, arguments.side // 8
    unet = converted(random_modules().unet, torch.float32, torch.contiguous_format)
    model = ControlNetModel(cross_attention_dim=_WIDTH).eval().requires_grad_(False)
    control = ControlModel(Path("control.safetensors"), ControlKind.CONTROLNET, "SD 1", model)
    weighting = Weighting(residual_weights(residual_count(control), 1.0, curved=False))
    hint = torch.rand(1, 3, arguments.side, arguments.side)
    sample, times = torch.randn(rows, 4, cells, cells), torch.full((rows,), 500.0)
    texts = Conditioning(torch.randn(rows, 77, _WIDTH), {}, rows // 2)
    plain = unet_function(unet, channels_last=False)

    def guided(window: tuple[float, float]) -> Callable[[], object]:
        hook = ControlResiduals([ControlUnit(control, hint, weighting, window)], 10)
        hook.begin_call(CallPosition(0, 10, range(1)))
        call = unet_function(unet, channels_last=False, residuals=residuals_of([hook]))
        return lambda: call(sample, times, texts)

    turns: dict[str, Callable[[], object]] = {
        "UNet": lambda: plain(sample, times, texts),
        "with a unit": guided((0.0, 1.0)),
        "with a unit that is off": guided((0.5, 1.0)),
        "its model": lambda: model(sample, times, texts.context, hint.expand(rows, -1, -1, -1), return_dict=False),
    }
    found = [{name: seconds(run) for name, run in turns.items()} for _ in range(arguments.rounds + 1)][1:]
    medians = {name: statistics.median(one[name] for one in found) for name in turns}
    print("| size | rows | " + " | ".join(turns) + " | added / model | off / UNet |\n" + "|---" * 8 + "|")
    added = (medians["with a unit"] - medians["UNet"]) / medians["its model"]
    off = medians["with a unit that is off"] / medians["UNet"]
    figures = " | ".join(f"{value:.2f}" for value in medians.values())
    print(f"| {arguments.side}² | {rows} | {figures} | {added:.3f} | {off:.4f} |")


if __name__ == "__main__":
    main()
