"""What the detectors of a detail pass take of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelNotFoundError
from modules.features.controlnet.plan import requests_of
from modules.features.detail.declare import DetailArguments
from modules.features.detail.detectors.plan import list_detectors, named_detector
from modules.features.detail.plan import detector_folders
from modules.hardware.budget import AuxiliarySize
from modules.parameters import ResolvedRequest

DETECTORS: Final = "detectors"
"""The kind under which a `SharedCache` stores detectors, by their file with its state."""
# Files hold 16 bits, and their nets compute in 32.
_GROWTH: Final = 2
# Of the largest YOLO over its 640 pixels, on the safe side, in bytes.
_WORK: Final = 500_000_000


def detector_sizes(resolved: ResolvedRequest, folders: ModelFolders) -> dict[Path, AuxiliarySize]:
    """Those of a job's detectors whose nets work on the device, by their files. What is missing is left out."""
    tabs = [tab for request in requests_of(resolved) for tab in DetailArguments.of(request.scripts).tabs]
    if not tabs:
        return {}
    detectors = list_detectors(detector_folders(folders, resolved.settings.detail.extra_models_dir))
    found: dict[Path, AuxiliarySize] = {}
    for tab in tabs:
        try:
            path = named_detector(tab.ad_model, detectors).path
            if path is not None and path.suffix.lower() != ".onnx":
                found[path] = AuxiliarySize(_GROWTH * path.stat().st_size, _WORK)
        except (ModelNotFoundError, OSError):
            continue
    return found
