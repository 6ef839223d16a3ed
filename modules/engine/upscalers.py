"""The upscalers and face restorers of this process: loaded at first use, the last few cached."""

from __future__ import annotations

import gc
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import torch
from PIL import Image
from torch import nn

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelNotFoundError
from modules.catalogue.upscalers import NO_UPSCALER, find_upscaler, list_upscalers
from modules.engine.faces import FaceKeeper
from modules.engine.upscaled_cache import UpscaledCache
from modules.features.shared import SharedCache, module_of
from modules.files import FileState, found_file
from modules.hardware.choice import Hardware
from modules.hardware.device import free_memory, module_bytes
from modules.hardware.pinned_weights import onloaded
from modules.parameters import RequestError
from modules.parameters.job_options import UpscalingOptions
from modules.pictures.enlarging import PLAIN, Once
from modules.upscaling.model import PictureModel, load_upscaler
from modules.upscaling.model_tiles import Tiling
from modules.upscaling.upscale import Watch, upscale

MOST_MODELS: Final = 2
# What one tile takes beside an upscaler's weights, in bytes, on the safe side.
_WORKING_MEMORY: Final = 1_500_000_000


class UpscalerKeeper:
    """Owns the loaded upscalers. They are on the device while they work, and wait in main memory."""

    def __init__(self, hardware: Hardware, folders: ModelFolders, on_cpu: Sequence[str] = ()) -> None:
        """`on_cpu` are A1111's words of --use-cpu."""
        self._hardware = hardware
        self.folders = folders
        self._on_cpu = frozenset(on_cpu)
        self._cache = UpscaledCache()
        self.faces = FaceKeeper(folders, self.device_of)
        # What features have read and made.
        self.features = SharedCache()
        self._models: OrderedDict[tuple[Path, FileState], PictureModel] = OrderedDict()
        # Frees the device of what is not needed now, and returns whether there was something; set by who may do so.
        self.make_room: Callable[[], bool] = lambda: False

    def once(self, name: str, options: UpscalingOptions, watch: Watch, *, remember: bool = False) -> Once | None:
        """One application of the upscaler called `name`; None for "None". Raises RequestError when it is not here.

        `watch` is called for every tile, and may raise to stop. The file is read at the first application. With
        `remember` results are cached, as many as the settings say.
        """
        if name == NO_UPSCALER:
            return None
        if name in PLAIN:
            return PLAIN[name]
        try:
            path = find_upscaler(name, list_upscalers(self.folders.upscalers)).path
        except ModelNotFoundError as error:
            raise RequestError(str(error)) from error
        if path is None:
            return self.once(next(one for one in (NO_UPSCALER, *PLAIN) if one.lower() == name.lower()), options, watch)

        def apply(image: Image.Image, scale: float) -> Image.Image:
            model = self._model(path)
            tiling = tiling_for(model.architecture, options)
            most = options.max_images_in_cache if remember else 0
            if not most:
                return self._upscale(image, model, tiling, watch)
            how = (path, found_file(path), tiling)
            return self._cache.get(image, how, most, lambda: self._upscale(image, model, tiling, watch))

        return apply

    def leave_device(self) -> None:
        """Leave the device; the models stay in main memory for the next time."""
        for model in self._models.values():
            if model.device.type != "cpu":
                model.net.model.to("cpu")
        self.faces.leave_device()
        self.features.leave_device()

    @contextmanager
    def on_device(self, made: object) -> Iterator[None]:
        """While open, a network of a feature computes on the device; what there may be freed of it makes room."""
        device, module = self.device_of("features"), module_of(made)
        if module is None:
            yield
            return
        self._make_room_for(module, device)
        with onloaded(module, device):
            yield

    def forget(self) -> None:
        """Give back every byte."""
        self._models.clear()
        self._cache.clear()
        self.faces.forget()
        self.features.forget()
        gc.collect()

    def _upscale(self, image: Image.Image, model: PictureModel, tiling: Tiling, watch: Watch) -> Image.Image:
        device = self.device_of("esrgan", model.architecture)
        self._bring(model, device)
        try:
            return upscale(image, model, tiling, watch)
        except torch.OutOfMemoryError:
            if not self.make_room():
                raise
        return upscale(image, model, tiling, watch)

    def _bring(self, model: PictureModel, device: torch.device) -> None:
        if model.device == device:
            return
        self._make_room_for(model.net.model, device)
        model.to(device, self._hardware.unet_dtype if device.type == "cuda" else torch.float32)

    def _make_room_for(self, module: nn.Module, device: torch.device) -> None:
        free = free_memory(device)
        if free is not None and free < module_bytes(module) + _WORKING_MEMORY:
            self.make_room()

    def device_of(self, part: str, architecture: str = "") -> torch.device:
        """Where a part works: on the CPU if --use-cpu names it or its architecture."""
        if self._on_cpu & {"all", part, architecture.lower()}:
            return torch.device("cpu")
        return self._hardware.device

    def _model(self, path: Path) -> PictureModel:
        return self.cached(path, load_upscaler)

    def cached(self, path: Path, load: Callable[[Path], PictureModel]) -> PictureModel:
        """The model of a file, read anew when the file has changed. Raises ModelFileError."""
        found = found_file(path)
        key = (path, found.state if found else FileState(0, 0))
        if key not in self._models:
            while len(self._models) >= MOST_MODELS:
                self._models.popitem(last=False)
            self._models[key] = load(path)
        self._models.move_to_end(key)
        return self._models[key]


def tiling_for(architecture: str, options: UpscalingOptions) -> Tiling:
    """The tiles for an upscaler of that architecture: DAT has settings of its own."""
    if architecture == "DAT":
        return Tiling(options.dat_tile, options.dat_tile_overlap)
    return Tiling(options.esrgan_tile, options.esrgan_tile_overlap)
