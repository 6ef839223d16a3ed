"""What a feature is given of the job that it works in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from modules.catalogue.folders import ModelFolders
from modules.features.shared import OnDevice, SharedCache
from modules.generation.resizing import Resize
from modules.parameters import ResolvedRequest
from modules.pictures.cropping import FaceBox
from modules.pictures.enlarging import Once


class PictureModels(Protocol):
    """The upscalers and face restorers of the engine."""

    def upscaler(self, name: str) -> Once:
        """One application of an upscaler. Raises RequestError where it is not here."""
        ...

    def restorer(self, name: str, weight: float) -> Callable[[Image.Image], Image.Image | None]:
        """What restores faces, None where it found none. Raises RequestError where a file is missing."""
        ...

    def boxes(self, image: Image.Image) -> list[FaceBox]:
        """Where faces are."""
        ...


@dataclass(frozen=True, slots=True)
class FeatureJob:
    """The job, and what of the engine a feature may use.

    `picture` opens one of the job's pictures by its name and raises RequestError for one that can't be read;
    `resampler` gives what brings pictures to a size with the upscaler of that name. `leave` says whether the batch
    under way is to be left, and `notice` adds a sentence to what is said about the job, once. `folders` are those of
    model files, and `files` the paths of those that the request names, by "kind/name". What `shared` has stays for the
    engine's next jobs, its networks in main memory: `on_device` has one compute on the device, where that has room.
    """

    resolved: ResolvedRequest
    picture: Callable[[str], Image.Image]
    resampler: Callable[[str], Resize]
    models: PictureModels
    folders: ModelFolders
    on_device: OnDevice
    files: Mapping[str, str]
    shared: SharedCache
    leave: Callable[[], bool]
    notice: Callable[[str], None]
