"""From an emoji font to the checkpoint: `python -m training.run`. Stops anywhere, goes on where it was."""

import argparse
import time
from pathlib import Path

import torch

from training.diffusion import DiffusionTask, build_unet
from training.export import export
from training.latents import build_cache, load_whitening
from training.loop import Plan, train
from training.text import TextTask
from training.tokens import DEFAULT_FILE, Tokens
from training.vae import VaeTask

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "models/Stable-Diffusion/demo-emoji.safetensors"
NOTE = (
    "Single emoji objects, plain shapes and simple scenes on named backgrounds, 128x128. "
    "Trained by training/ of this repository on {}."
)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="training.run", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ...")
    parser.add_argument("--workers", type=int, default=0, help="Hogwild workers; default: 2 on a CPU, 1 on CUDA")
    parser.add_argument("--vae-minutes", type=float, default=18)
    parser.add_argument("--text-minutes", type=float, default=2)
    parser.add_argument("--unet-minutes", type=float, default=60)
    parser.add_argument("--pictures", type=int, default=24_000, help="size of the latent cache")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=ROOT / "training/runs/demo", help="checkpoints of the stages")
    parser.add_argument("--vocabulary", type=Path, default=DEFAULT_FILE, help="bpe_simple_vocab_16e6.txt.gz")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--until", choices=("vae", "text", "latents", "unet", "export"), default="export")
    parser.add_argument("--export-only", action="store_true", help="export the newest checkpoints as they are")
    return parser.parse_args()


def _train_all(options: argparse.Namespace, vae: VaeTask, text: TextTask, device: str, workers: int) -> None:
    runs, seed = options.runs, options.seed
    cache = runs / "latents.pt"
    stages = ("vae", "text", "latents", "unet", "export")
    wanted = stages[: stages.index(options.until) + 1]
    train(Plan(runs / "vae.pt", options.vae_minutes * 60, seed, device, workers), vae)
    if "text" in wanted:
        train(Plan(runs / "text.pt", options.text_minutes * 60, seed + 1, device, workers), text)
    if "latents" in wanted:
        started = time.monotonic()
        build_cache(cache, vae.model, options.pictures, seed, device, workers)
        print(f"latents {time.monotonic() - started:6.0f} s", flush=True)
    if "unet" in wanted:
        task = DiffusionTask(cache, text.model, text.tokens, device, 64 if device == "cpu" else 512)
        train(Plan(runs / "unet.pt", options.unet_minutes * 60, seed + 2, device, workers), task)


def _saved(file: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True, map_location="cpu")["state"]
    return state


def _export(options: argparse.Namespace, vae: VaeTask, text: TextTask, device: str) -> None:
    vae.restore(_saved(options.runs / "vae.pt"))
    text.restore(_saved(options.runs / "text.pt"))
    averaged = {k[8:]: v for k, v in _saved(options.runs / "unet.pt").items() if k.startswith("average.")}
    unet = build_unet()
    unet.load_state_dict(averaged)
    white = load_whitening(options.runs / "latents.pt")
    note = NOTE.format(device)
    digest = export(options.output, unet, vae.model.cpu(), white, text.model.cpu(), text.tokens.lookup, note)
    print(f"{options.output} {options.output.stat().st_size / 1e6:.1f} MB sha256 {digest}")


def main() -> None:
    """Run the stages that are not done yet, then export."""
    options = arguments()
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    workers = options.workers or (2 if device == "cpu" else 1)
    torch.manual_seed(options.seed)
    vae, text = VaeTask(device), TextTask(Tokens(options.vocabulary), device)
    if not options.export_only:
        _train_all(options, vae, text, device, workers)
    if options.export_only or options.until == "export":
        _export(options, vae, text, device)


if __name__ == "__main__":
    main()
