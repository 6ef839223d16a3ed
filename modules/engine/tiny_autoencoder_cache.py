"""The tiny autoencoders of models/VAE-approx, read at first use and cached."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from torch import nn

from modules.catalogue.model_errors import ModelFileError
from modules.families import Family
from modules.files import FoundFile, found_file
from modules.hardware.choice import Hardware
from modules.weights.tiny_autoencoder import Half, for_family, load_tiny_autoencoder

_SUFFIXES: Final = (".safetensors", ".pth", ".pt")


class TinyAutoencoderCache:
    """Owns the tiny autoencoders of this process."""

    def __init__(self, folder: Path, hardware: Hardware) -> None:
        self._folder = folder
        self._hardware = hardware
        self._loaded: dict[FoundFile, nn.Module] = {}

    def half(self, half: Half, family: Family) -> nn.Module | str:
        """The encoder or decoder for that family's latents, on the device; or why it is not there, in one sentence."""
        if family.latent_patch > 1:
            return f"Tiny autoencoders for {family.label} can't be read here"
        stem = f"{family.tiny_autoencoder}_{half}"
        files = (found_file(self._folder / (stem + suffix)) for suffix in _SUFFIXES)
        found = next((file for file in files if file is not None), None)
        if found is None:
            return f"TAESD needs {stem}.pth (or .safetensors) in models/VAE-approx, and it is not there"
        if found not in self._loaded:
            try:
                module = load_tiny_autoencoder(found.path, half)
            except ModelFileError as error:
                return str(error).rstrip(".")
            except OSError as error:
                return f"{found.path.name} could not be read: {error.strerror or error}"
            # What the file held before is used no more.
            for stale in [file for file in self._loaded if file.path == found.path]:
                del self._loaded[stale]
            self._loaded[found] = module.to(self._hardware.device, self._hardware.vae_dtype)
        return for_family(self._loaded[found], half, family)
