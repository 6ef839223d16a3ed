"""What a LoRA costs against loading the checkpoint: read, applied, weighed anew, taken out; and what stays in memory.

    python -m benchmarks.networks [--folder DIR] [--repeats 3] [--threads N] [--rank 32]

Writes a random checkpoint of SD 1.5's exact shapes (2.1 GB) and LoRAs over its attention, or over all linear layers,
into DIR and removes them. On a busy machine the CPU seconds are the ones to compare. The goals (docs/performance.md):
applied in at most 0.15 times what loading takes, removed in at most 0.05 times.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.checkpoint_load import anonymous_memory, best
from modules.hardware.main_memory import give_back_memory
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from modules.weights.networks.merging import AppliedNetwork, NetworkMerger
from modules.weights.networks.reading import Network, read_network
from tests.checkpoints import write_sd15_size_checkpoint, write_tensors

_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
_MORE = (*_ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
_TEXT = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
DTYPES = (torch.bfloat16, torch.float32)


def write_lora(path: Path, model: Model, rank: int, suffixes: tuple[str, ...]) -> Path:
    """A LoRA in float16 over the UNet's layers with these suffixes and the text encoder's, as kohya names them."""
    tensors: dict[str, Tensor] = {}
    parts = (("lora_unet_", model.unet, suffixes), ("lora_te_text_model_", model.text_encoders[0], _TEXT))
    for prefix, module, wanted in parts:
        for name, layer in module.named_modules():
            if name.endswith(wanted) and isinstance(layer, nn.Linear | nn.Conv2d):
                stem = prefix + name.removeprefix("text_model.").replace(".", "_")
                # Plain linear layers here: 1×1 convolutions of a projection lie as such in the file.
                shape = layer.weight.shape
                up = torch.randn(shape[0], rank, *([1] * (len(shape) - 2)), dtype=torch.float32) * 1e-2
                down = torch.randn(rank, *shape[1:], dtype=torch.float32) * 1e-2
                tensors[f"{stem}.lora_up.weight"] = up.half()
                tensors[f"{stem}.lora_down.weight"] = down.half()
                tensors[f"{stem}.alpha"] = torch.tensor(float(rank))
    return write_tensors(path, tensors, {})


def compare(checkpoint: Path, lora: Path, dtype: torch.dtype, repeats: int, label: str) -> None:
    def load() -> Model:
        return load_checkpoint(checkpoint, dtype=dtype, channels_last=True)

    load().release()
    loading = best(load, repeats)
    model = load()
    merger = NetworkMerger(model, torch.device("cpu"))
    network = read_network(lora)
    rows: dict[str, tuple[float, float]] = {"reading the file": best(lambda: read_network(lora), repeats)}
    for name, run, undo in _cases(merger, network):
        rows[name] = _measured(run, undo, repeats)
    for name, (wall, cpu) in rows.items():
        print(
            f"| {label} | {name} | {wall:.2f} | {cpu:.2f} | {wall / loading[0]:.3f} | {cpu / loading[1]:.3f} |",
            flush=True,
        )
    merger.restore()
    model.release()


def _cases(merger: NetworkMerger, network: Network) -> list[tuple[str, Callable[[], None], Callable[[], None]]]:
    """(name, what is measured, what brings things back before the next round)."""

    def weighed(multiplier: float) -> Callable[[], None]:
        return lambda: merger.apply([AppliedNetwork("lora", network, multiplier, multiplier)])

    def removed() -> None:
        merger.apply([])

    return [
        ("applied", weighed(0.8), removed),
        ("weighed anew", weighed(0.5), weighed(0.8)),
        ("the same again", weighed(0.5), weighed(0.5)),
        ("removed", removed, weighed(0.5)),
    ]


def _measured(run: Callable[[], None], undo: Callable[[], None], repeats: int) -> tuple[float, float]:
    times = []
    for _ in range(repeats):
        undo()
        times.append(best(run, 1))
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def switches(checkpoint: Path, loras: list[Path], count: int) -> None:
    """What stays of this process's memory after switching between networks."""
    model = load_checkpoint(checkpoint, dtype=torch.bfloat16, channels_last=True)
    merger = NetworkMerger(model, torch.device("cpu"))
    print("\n| switches between networks | MB, none applied |\n|---|---|")
    for number in range(count + 1):
        if number:
            path = loras[number % len(loras)]
            merger.apply([AppliedNetwork(path, read_network(path))])
        if number % max(1, count // 4) == 0:
            merger.apply([])
            give_back_memory()
            print(f"| {number} | {anonymous_memory():.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--switches", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        run(Path(folder), arguments.repeats, arguments.rank, arguments.switches)


def run(folder: Path, repeats: int, rank: int, count: int) -> None:
    checkpoint = write_sd15_size_checkpoint(folder / "sd15.safetensors")
    model = load_checkpoint(checkpoint, dtype=torch.bfloat16)
    attention = write_lora(folder / "attention.safetensors", model, rank, _ATTENTION)
    more = write_lora(folder / "more.safetensors", model, rank, _MORE)
    model.release()
    print("| weights | | wall s | CPU s | against loading: wall | CPU |\n|---|---|---|---|---|---|")
    for dtype in DTYPES:
        name = str(dtype).removeprefix("torch.")
        compare(checkpoint, attention, dtype, repeats, f"{name}, attention")
        compare(checkpoint, more, dtype, repeats, f"{name}, all linear layers")
    switches(checkpoint, [attention, more], count)


if __name__ == "__main__":
    main()
