"""How long loading an SD1.5-size checkpoint takes against reading its file, and what ten switches leave behind.

    python -m benchmarks.checkpoint_load [--folder DIR] [--repeats 3] [--threads N]

Writes random files of SD1.5's exact shapes (2.1 GB each) into DIR and removes them afterwards. "Reading" is
`Path.read_bytes` of the file in the page cache; on a busy machine the CPU seconds are the ones to compare. The
goal (docs/performance.md): fp16 at most 2 times that.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from modules.hardware.choice import choose_hardware
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_sd15_size_checkpoint

CASES = (
    ("fp16 file → fp16", "safetensors", torch.float16, False),
    ("fp16 file → bf16, channels_last (the CPU's default here)", "safetensors", torch.bfloat16, True),
    ("fp16 file → fp32", "safetensors", torch.float32, False),
    ("fp16 .ckpt → bf16, channels_last", "ckpt", torch.bfloat16, True),
)


def best(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The best wall and CPU seconds; what `run` returns is dropped inside the measure's pause."""
    wall, cpu = [], []
    for _ in range(repeats):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        result = run()
        wall.append(time.perf_counter() - wall_start)
        cpu.append(time.process_time() - cpu_start)
        if hasattr(result, "release"):
            result.release()
        del result
    return min(wall), min(cpu)


def anonymous_memory() -> float:
    """MB of this process's own memory, the page cache not counted; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), 0.0)


def compare_loading(files: dict[str, Path], device: torch.device, repeats: int) -> None:
    print("| case | read: wall s | CPU s | load: wall s | CPU s | load / read: wall | CPU |")
    print("|---|---|---|---|---|---|---|")
    for name, suffix, dtype, channels_last in CASES:
        path = files[suffix]

        def load(path: Path = path, dtype: torch.dtype = dtype, last: bool = channels_last) -> object:
            return load_checkpoint(path, dtype=dtype, device=device, channels_last=last)

        load().release()  # type: ignore[attr-defined]
        read, loaded = best(path.read_bytes, repeats), best(load, repeats)
        cells = (*read, *loaded, loaded[0] / read[0], loaded[1] / read[1])
        print(f"| {name} | {' | '.join(f'{cell:.2f}' for cell in cells)} |", flush=True)


def switch(files: dict[str, Path], device: torch.device, switches: int) -> None:
    print("\n| switch | MB with the model | MB after its release |\n|---|---|---|")
    for turn in range(switches + 1):
        path = files["safetensors" if turn % 2 else "ckpt"]
        model = load_checkpoint(path, dtype=torch.bfloat16, device=device, channels_last=True)
        held = anonymous_memory()
        model.release()
        print(f"| {turn} | {held:.0f} | {anonymous_memory():.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--switches", type=int, default=10)
    options = parser.parse_args()
    hardware = choose_hardware()
    torch.set_num_threads(options.threads or hardware.threads)
    print(f"{hardware.why}; {torch.get_num_threads()} threads; torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        files = {
            suffix: write_sd15_size_checkpoint(Path(folder) / f"sd15.{suffix}") for suffix in ("safetensors", "ckpt")
        }
        compare_loading(files, hardware.device, options.repeats)
        switch(files, hardware.device, options.switches)


if __name__ == "__main__":
    main()
