"""Small model files of several kinds, as bytes."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
from PIL import Image
from safetensors.numpy import save


def lora(size: int = 400_000, seed: int = 0) -> bytes:
    """A LoRA of one layer, `size` numbers of 4 bytes."""
    weight = np.random.default_rng(seed).standard_normal((4, size // 8)).astype(np.float32)
    return save({"lora_unet_x.lora_down.weight": weight, "lora_unet_x.lora_up.weight": weight.T.copy()})


def stable_diffusion_3() -> bytes:
    """A file with the names of a family that can't run here."""
    return save({"joint_blocks.0.x_block.attn.qkv.weight": np.zeros((600, 600), np.float32)})


def tiny_autoencoder() -> bytes:
    """A file whose tensors have no names that say anything."""
    return save({"0.weight": np.zeros((4, 4), np.float32), "1.conv.0.weight": np.zeros((4, 4), np.float32)})


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("harm",)


def harmful_pickle() -> bytes:
    """A file in PyTorch's form that would call a function when it is unpickled."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"state_dict": _Harm()}, protocol=2))
        archive.writestr("archive/version", "3\n")
    return packed.getvalue()


def picture() -> bytes:
    """A small PNG."""
    written = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(written, "PNG")
    return written.getvalue()
