"""The face restorers of this process, and the detector that finds faces for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from modules.catalogue.folders import ModelFolders
from modules.catalogue.upscalers import DETECTOR, RESTORERS, find_detector, list_restorers
from modules.parameters import RequestError
from modules.pictures.cropping import FaceBox
from modules.pictures.postprocessing import FOLDERS
from modules.upscaling.architectures import has_more_architectures
from modules.upscaling.faces import restore_faces, restorer
from modules.upscaling.model import PictureModel, load_restorer
from modules.upscaling.retinaface import Face, RetinaFace, load_detector

NO_DETECTOR: Final = f"Faces can't be found: put the face detector's file {DETECTOR}.pth into models/GFPGAN."
# Its licence allows no commercial use, so it is never fetched by default: see docs/upscaling.md.
NO_CODEFORMER: Final = (
    "CodeFormer needs a package that is not installed by default, since its licence allows no commercial use: run "
    "'venv/bin/python -m pip install --no-deps spandrel_extra_arches==0.2.0' and start again."
)

# Gives the picture with its faces restored, or None where none was found.
RestoreFaces = Callable[[Image.Image], Image.Image | None]


class FaceKeeper:
    """Owns the loaded restorers. They are on the device while they work, and wait in main memory."""

    def __init__(self, folders: ModelFolders, device_of: Callable[[str], torch.device]) -> None:
        """`device_of` says where a part works: `gfpgan`, `codeformer`."""
        self._folders = folders
        self._device_of = device_of
        self._models: dict[Path, PictureModel] = {}
        self._detector: tuple[Path, RetinaFace] | None = None

    def available(self) -> tuple[str, ...]:
        """The restorers that could be used now."""
        if find_detector(self._folders) is None:
            return ()
        able = [name for name in list_restorers(self._folders) if name != "CodeFormer" or has_more_architectures()]
        return tuple(name for name in RESTORERS if name in able)

    def restorer_for(self, name: str, weight: float = 0.0, *, unload: bool = False) -> RestoreFaces:
        """What restores the faces of a picture. `weight` is CodeFormer's; with `unload` the device is left after each.

        Raises RequestError with a sentence when a file, or CodeFormer's package, is not there. Files are read at the
        first picture.
        """
        path = list_restorers(self._folders).get(name)
        if path is None:
            raise RequestError(f"{name} is not here: put its file into models/{FOLDERS.get(name, 'GFPGAN')}.")
        if find_detector(self._folders) is None:
            raise RequestError(NO_DETECTOR)
        if name == "CodeFormer" and not has_more_architectures():
            raise RequestError(NO_CODEFORMER)

        def restore(image: Image.Image) -> Image.Image | None:
            faces = self.faces(image)
            if not faces:
                return None
            model = self._model(path)
            try:
                model.to(self._device_of(name.lower()), torch.float32)
                return restore_faces(image, faces, restorer(model, weight))
            except torch.OutOfMemoryError:
                model.to(torch.device("cpu"), torch.float32)
            return restore_faces(image, faces, restorer(model, weight))

        def restore_and_leave(image: Image.Image) -> Image.Image | None:
            try:
                return restore(image)
            finally:
                self.leave_device()

        return restore_and_leave if unload else restore

    def faces(self, image: Image.Image) -> list[Face]:
        """The faces of a picture; none where there is no detector."""
        path = find_detector(self._folders)
        if path is None:
            return []
        if self._detector is None or self._detector[0] != path:
            self._detector = path, load_detector(path)
        net = self._detector[1]
        try:
            return net.to(self._device_of("gfpgan")).faces(image)
        except torch.OutOfMemoryError:
            return net.to("cpu").faces(image)

    def boxes(self, image: Image.Image) -> list[FaceBox]:
        """Where faces are, as boxes."""
        return [face.box for face in self.faces(image)]

    def leave_device(self) -> None:
        """Leave the device."""
        for model in self._models.values():
            model.net.model.to("cpu")
        if self._detector is not None:
            self._detector[1].to("cpu")

    def forget(self) -> None:
        """Give back every byte."""
        self._models.clear()
        self._detector = None

    def _model(self, path: Path) -> PictureModel:
        if path not in self._models:
            self._models[path] = load_restorer(path)
        return self._models[path]
