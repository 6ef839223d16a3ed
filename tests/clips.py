"""Whole CLIPs with random weights, as narrow as they come, saved under the names that people's files have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import CLIPConfig, CLIPModel

from tests.checkpoints import write_tensors

SIDE = 28
WIDTH = 24


def make_clip(seed: int = 5, *, width: int = WIDTH) -> CLIPModel:
    """A CLIP that sees pictures of 28 pixels; its vectors have `width` numbers."""
    text: dict[str, Any] = {
        "vocab_size": 49408, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 1, "hidden_act": "gelu", "bos_token_id": 49406, "eos_token_id": 49407,
    }  # fmt: skip
    vision: dict[str, Any] = {
        "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 16,
        "image_size": SIDE, "patch_size": 14, "hidden_act": "gelu",
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=width))
    made.train(False)
    return made.requires_grad_(False)


def write_clip(path: Path, clip: CLIPModel, *beginnings: str) -> Path:
    """Save it, or of it only the tensors whose names begin so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.clone() for name, value in clip.state_dict().items() if name.startswith(beginnings or "")}
    return write_tensors(path, state, {})
