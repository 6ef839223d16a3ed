"""What the operations of Extras make of a finished picture, where its job wants that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PIL import Image

from modules.engine.faces import RestoreFaces
from modules.engine.upscalers import UpscalerKeeper
from modules.features.postprocessing.run import requested_postprocessing
from modules.generation.finishing import Finished
from modules.parameters import RequestError, ResolvedRequest
from modules.pictures import PictureError
from modules.pictures.enlarging import Once
from modules.pictures.postprocessing import Tools, postprocess
from modules.sampling import Interrupted


class Postprocessor:
    """Works on the pictures of one job. What can't be done is said in `notices`, and the picture stays as it is."""

    def __init__(self, resolved: ResolvedRequest, upscalers: UpscalerKeeper, leave: Callable[[], bool]) -> None:
        self._request = requested_postprocessing(resolved.request.scripts)
        self._options = resolved.settings.upscaling
        self._upscalers = upscalers
        self._leave = leave
        self._notices: dict[str, None] = {}
        self._restorers: dict[str, RestoreFaces] = {}
        self._tools = Tools(self._upscaler, self._restored, upscalers.faces.boxes)
        if self._request is not None:
            self._request = self._request.without(list(self._missing()))

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return self._request is not None and bool(self._request.upscalers or self._request.restorers)

    @property
    def notices(self) -> tuple[str, ...]:
        return tuple(self._notices)

    def __call__(self, finished: Finished) -> Finished:
        """The picture as it leaves the job. One that is interrupted here stays as it was before."""
        if self._request is None or not self.wanted:
            return finished
        try:
            result = postprocess(finished.picture, self._request, self._tools)
        except Interrupted:
            return finished
        except (PictureError, RequestError) as error:
            self._notices[f"Postprocessing was left out. {error}"] = None
            return finished
        return replace(finished, picture=result.pictures[0][1], facts={**finished.facts, **result.facts})

    def _missing(self) -> list[str]:
        """The operations whose files are not here."""
        if self._request is None:
            return []
        missing = []
        for name in self._request.restorers:
            try:
                self._restorers[name] = self._upscalers.faces.restorer_for(name, self._request.codeformer_weight)
            except RequestError as error:
                self._notices[f"{name} was left out. {error}"] = None
                missing.append(name)
        try:
            for name in self._request.upscalers:
                self._upscaler(name)
        except (RequestError, PictureError) as error:
            self._notices[f"Upscaling was left out. {error}"] = None
            missing.append("Upscale")
        return missing

    def _upscaler(self, name: str) -> Once:
        once = self._upscalers.once(name, self._options, self._watch)
        if once is None:
            raise PictureError(f"The upscaler {name!r} leaves a picture as it is.")
        return once

    def _restored(self, name: str, image: Image.Image, weight: float) -> Image.Image:
        if self._leave():
            raise Interrupted
        return self._restorers[name](image) or image

    def _watch(self, done: int, total: int) -> None:
        if self._leave():
            raise Interrupted
