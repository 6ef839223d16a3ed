"""Which previews a job shows: decoded how, of how many pictures, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from PIL import Image
from torch import Tensor, nn

from modules.engine.job_models import JobModels
from modules.generation.codec import decode_tiny
from modules.generation.decoding import to_image
from modules.generation.previews import at_preview_size, enlarged, linear_pictures
from modules.hardware.out_of_memory import is_out_of_memory
from modules.parameters.job_options import JobOptions, PreviewOptions
from modules.pictures.grids import image_grid

# A1111's "Approx NN" is a small network of its own, and "Approx cheap" a fixed map; here both are the map fitted to
# the VAE that is loaded, which is as quick as the second and truer than either with an unusual VAE.
_FULL: Final = "Full"
_TAESD: Final = "TAESD"

Make = Callable[[], Image.Image]


class Previewer:
    """Makes the previews of one job, by its options."""

    def __init__(self, models: JobModels, settings: JobOptions) -> None:
        self._models = models
        self._grids = settings.grids
        self._method = settings.previews.method
        self._whole = settings.previews.whole_batch

    def make(self, latents: Tensor) -> Make | None:
        """What makes the preview of `latents` (images, 4, h, w), to be called on any thread; None if nothing can.

        What the VAE has to do for it is done here, on the thread of the steps: only there it is known to be on the
        device, and its weights in their own number type.
        """
        if not self._whole:
            latents = latents[:1]
        if self._method == _FULL and self._models.may_decode_previews():
            pictures = self._full(latents)
            if pictures is not None:
                return lambda: self._grid(pictures)
        decode = self._small()
        return None if decode is None else lambda: self._grid(decode(latents))

    def quick(self) -> Callable[[Tensor], Tensor] | None:
        """What decodes latents as previews do, at the picture's full size, (n, 3, 8h, 8w) in 0..1; None for Full."""
        if self._method == _FULL:
            return None
        decoder = self._decoder()
        if decoder is not None:
            return lambda latents: decode_tiny(decoder, latents)
        colours = self._within_memory(self._models.preview_colours)
        return None if colours is None else lambda latents: enlarged(linear_pictures(latents, colours))

    def _small(self) -> Callable[[Tensor], Tensor] | None:
        """What decodes latents (n, 4, h, w) to RGB in 0..1, (n, 3, h, w) or, by a tiny autoencoder, (n, 3, 8h, 8w)."""
        decoder = self._decoder()
        if decoder is not None:
            return lambda latents: decode_tiny(decoder, latents)
        colours = self._within_memory(self._models.preview_colours)
        return None if colours is None else lambda latents: linear_pictures(latents, colours)

    def _decoder(self) -> nn.Module | None:
        return self._models.tiny("decoder") if self._method == _TAESD else None

    def _full(self, latents: Tensor) -> Tensor | None:
        return self._within_memory(lambda: self._models.decoded(latents))

    def _within_memory(self, decode: Callable[[], Tensor | None]) -> Tensor | None:
        """What `decode` gives, or None where there is no memory for it: no job fails for want of a preview."""
        try:
            return decode()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _grid(self, pictures: Tensor) -> Image.Image:
        images = [to_image(picture) for picture in pictures.cpu()]
        image = images[0] if len(images) == 1 else image_grid(images, len(images), self._grids)
        return at_preview_size(image)


class Pace:
    """When a preview is due: A1111's number of steps have gone by since the last, and the milliseconds too."""

    def __init__(self, options: PreviewOptions) -> None:
        self.enabled = options.enabled
        self._steps = options.every_n_steps
        self._seconds = options.refresh_period / 1000
        self._last_time = 0.0
        self._last_step = 0

    @property
    def only_finished(self) -> bool:
        """Nothing but finished pictures is shown."""
        return self.enabled and self._steps < 0

    def due(self, step: int) -> bool:
        """Whether to show `step`, which then counts as shown. Steps count anew in each batch."""
        if step < self._last_step:
            self._last_step = 0
        now = time.monotonic()
        if not self.enabled or self._steps < 0 or step - self._last_step < self._steps:
            return False
        if now - self._last_time < self._seconds:
            return False
        self._last_time, self._last_step = now, step
        return True
