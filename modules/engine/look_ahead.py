"""What a job's checkpoints will need, known from the heads of their files before the first of them is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from modules.catalogue.model_errors import ModelFileError
from modules.engine.loaded import Origin, stored_in_8_bits, unreadable_checkpoint
from modules.engine.model_cache import Turns
from modules.engine.model_placement import ModelPlacement
from modules.families import Family
from modules.hardware.budget import MemoryMode, ModelSize, OutOfBudget, RequestSize
from modules.hardware.choice import Hardware
from modules.hardware.fp8_weights import store_in_8_bits
from modules.hardware.model_size import size_of
from modules.protocol import CheckpointFile
from modules.weights.checkpoint import empty_parts


@dataclass(frozen=True, slots=True)
class Outlook:
    """A checkpoint that is not loaded: its family, and its size once it is."""

    family: Family
    size: ModelSize


class OutlookCache:
    """Looks at each file once, as long as it stays as it is."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._known: dict[tuple[object, ...], Outlook] = {}

    def of(self, file: CheckpointFile) -> Outlook:
        """The outlook of `file` with its VAE. Raises ModelFileError where it can't be loaded."""
        vae = None if file.vae_path is None else Origin.of(file.vae_path)
        texts = tuple(map(Origin.of, file.text_paths))
        key = Origin.of(file.path), vae, texts, file.load_options.fp8_storage
        if key not in self._known:
            try:
                self._known[key] = self._looked_at(file)
            except OSError as error:
                raise ModelFileError(unreadable_checkpoint(file, error)) from error
        return self._known[key]

    def _looked_at(self, file: CheckpointFile) -> Outlook:
        hardware = self._hardware
        vae = Path(file.vae_path) if file.vae_path else None
        parts = empty_parts(Path(file.path), vae, tuple(map(Path, file.text_paths)))
        dtypes: list[tuple[nn.Module, torch.dtype]] = [
            (parts.unet, hardware.unet_dtype),
            (parts.vae, hardware.vae_dtype),
        ]
        dtypes += [(encoder, hardware.text_dtype) for encoder in parts.text_encoders]
        for module, dtype in dtypes:
            nn.Module.to(module, dtype)
        if stored_in_8_bits(file, parts.family):
            store_in_8_bits(parts.unet)
        return Outlook(parts.family, size_of(parts.unet, parts.vae, *parts.text_encoders))


def planned_turns(
    placement: ModelPlacement,
    checkpoints: Sequence[tuple[CheckpointFile, Outlook]],
    modes: Sequence[MemoryMode | None],
    request: RequestSize,
) -> Turns:
    """How checkpoints of a job share the device, each in the memory mode that is set for it.

    Raises OutOfBudget for the first that would not fit with the device to itself.
    """
    for (file, outlook), mode in zip(checkpoints, modes, strict=True):
        try:
            placement.plan_ahead(outlook.size, request, mode)
        except OutOfBudget as error:
            raise OutOfBudget(f"{Path(file.path).name}: {error}") from error
    together = placement.has_room_for_all([outlook.size for _, outlook in checkpoints], request)
    return Turns(len(checkpoints) - 1, step_aside=not together)
