"""The checkpoints that one job works with, one in memory at a time."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Self

from torch import Tensor

from modules.engine.models import LoadedModel, ModelKeeper
from modules.engine.placement import request_size
from modules.generation.image_conditioning import EDITING, INPAINTING, mask_weight
from modules.generation.passes import Engine, shares_noise
from modules.generation.tiling import edges_joined, is_tiled
from modules.hardware.choice import Hardware
from modules.parameters import ResolvedRequest
from modules.protocol import CheckpointFile


class JobModels:
    """Loads what the passes of a job ask for. A checkpoint that another one replaces gives back its memory first."""

    def __init__(self, models: ModelKeeper, hardware: Hardware, resolved: ResolvedRequest) -> None:
        self._models = models
        self._hardware = hardware
        self._resolved = resolved
        self._edges = ExitStack()
        self._loaded: LoadedModel | None = None
        self._told: dict[str, object] | None = None
        # On a CPU a batch gains nothing, and one image at a time gives the same bytes whatever else is in its batch.
        alone = hardware.device.type == "cpu" and not shares_noise(resolved)
        self.together = 1 if alone else resolved.request.batch_size
        self.notices: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._edges.close()

    def engine(self, file: CheckpointFile) -> Engine:
        """The engine of `file`. The one before, where it was another, is of no use from then on."""
        if self._loaded is not None and self._loaded.file != file:
            # Asked while it is there: whoever holds a replaced checkpoint would keep its text encoder in memory.
            self._told = self._told or self._facts_of(self._loaded)
            self._edges.close()
            self._loaded = None
        if self._loaded is None:
            self._loaded = self._models.load(file)
            self._place()
            self._edges.enter_context(edges_joined(self._loaded.model, is_tiled(self._resolved)))
        return Engine(self._loaded.model, self._loaded.encoder, self._hardware.device, self._hardware.channels_last)

    def _place(self) -> None:
        """Put the checkpoint where the job's size wants it. Raises OutOfBudget when nothing makes it fit."""
        plan = self._models.fit(request_size(self._resolved, together=self.together))
        self.together = plan.images
        self._edges.enter_context(self._models.placement.tiles(plan.tiled))
        if plan.tiled and not self.notices:
            self.notices = (f"The picture was decoded in tiles, since there is no room for it whole: {plan.why}.",)

    def facts(self) -> dict[str, object]:
        """What infotext says of the first checkpoint. Waits for hashes that are still being worked out."""
        if self._told is not None:
            return self._told
        return {} if self._loaded is None else self._facts_of(self._loaded)

    def present_facts(self) -> dict[str, object]:
        """What infotext says of the checkpoint that is loaded now."""
        return {} if self._loaded is None else self._facts_of(self._loaded)

    def preview_colours(self) -> Tensor | None:
        return None if self._loaded is None else self._loaded.preview_colours()

    def _facts_of(self, loaded: LoadedModel) -> dict[str, object]:
        channels = loaded.model.unet_channels
        shown: dict[str, object] = {} if channels == EDITING else {"Image CFG scale": None}
        if channels == INPAINTING:
            shown["Conditional mask weight"] = mask_weight(self._resolved.options)
        return loaded.facts() | shown
