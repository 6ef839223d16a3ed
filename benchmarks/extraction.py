"""What extracting a LoRA from two checkpoints of SD 1.5's size takes: seconds, and the most memory at once.

    python -m benchmarks.extraction [--folder DIR] [--threads N] [--rank 32] [--conv-rank 0]

Writes two checkpoints of SD 1.5's exact shapes (2.1 GB each) into DIR and removes them: the second is the first with a
difference of low rank in each layer and a fiftieth of noise on all weights, in float16, as training leaves it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.checkpoint_load import anonymous_memory, peak_memory
from modules.hardware.main_memory import give_back_memory
from modules.parameters.merger_request import ExtractRequest
from modules.weights.merging.checkpoints import MergeTarget
from modules.weights.merging.extraction import extract_lora
from tests.checkpoints import SD15, Architecture, write_large_checkpoint

_LEARNT = 8
"""The rank of what the second file has learnt."""


def write_tuned(original: Path, path: Path) -> Path:
    """Write a file that differs from `original` in all of its layers."""
    generator = torch.Generator().manual_seed(1)
    tensors = load_file(original)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensors[name] = (tensor.float() + _learnt(tensor, generator)).to(tensor.dtype)
    save_file(tensors, path)
    return path


def _learnt(tensor: Tensor, generator: torch.Generator) -> Tensor:
    rows, columns = tensor.shape[0], tensor[0].numel()
    up, down = (torch.randn(shape, generator=generator) for shape in ((rows, _LEARNT), (_LEARNT, columns)))
    noise = torch.randn((rows, columns), generator=generator)
    return ((up @ down).mul_(3e-3).add_(noise, alpha=6e-5)).reshape(tensor.shape)


def run(folder: Path, architecture: Architecture, rank: int, conv_rank: int) -> None:
    """Measure one extraction and print it as rows of docs/performance.md's table."""
    original = write_large_checkpoint(folder / "original.safetensors", architecture)
    tuned = write_tuned(original, folder / "tuned.safetensors")
    request = ExtractRequest(tuned=tuned.name, original=original.name, rank=rank, conv_rank=conv_rank)
    give_back_memory()
    before, wall, cpu = anonymous_memory(), time.perf_counter(), time.process_time()
    with torch.inference_mode(), peak_memory() as peak:
        path, _ = extract_lora(request, tuned, original, MergeTarget(folder, "extracted", "token"), lambda share: None)
        most = peak() - before
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = path.stat().st_size / 1e6
    print("| rank | rank of convolutions | wall s | CPU s | MB more at once | MB of the file |")
    print("|---|---|---|---|---|---|")
    print(f"| {rank} | {conv_rank} | {wall:.1f} | {cpu:.1f} | {most:.0f} | {size:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--conv-rank", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), SD15, arguments.rank, arguments.conv_rank)


if __name__ == "__main__":
    main()
