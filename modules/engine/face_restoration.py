"""Restoring the faces of the pictures that a job makes, if its request wants that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from modules.engine.faces import FaceKeeper, RestoreFaces
from modules.parameters import RequestError, ResolvedRequest
from modules.parameters.job_options import FaceRestorationOptions


@dataclass(frozen=True, slots=True)
class FaceRestoration:
    """Restores faces. `name` is the restorer's; it is empty where nothing is restored. `notices` say why not."""

    name: str = ""
    restore: RestoreFaces = field(default=lambda image: None)
    save_before: bool = False
    notices: tuple[str, ...] = ()

    @property
    def facts(self) -> Mapping[str, object]:
        """What infotext says about it."""
        return {"Face restoration": self.name} if self.name else {}

    def __call__(self, image: Image.Image) -> tuple[Image.Image, dict[str, Image.Image]]:
        """The decoded picture with its faces restored, and what is saved beside it."""
        restored = self.restore(image)
        if restored is None:
            return image, {}
        return restored, {"before-face-restoration": image} if self.save_before else {}


def face_restoration_for(resolved: ResolvedRequest, faces: FaceKeeper) -> FaceRestoration:
    """By the request, or where it says nothing by the settings. The other restorer stands in for a missing one."""
    if not resolved.restores_faces:
        return FaceRestoration()
    options = resolved.settings.faces
    wanted, weight, unload = options.model or FaceRestorationOptions().model, options.code_former_weight, options.unload
    save_before = resolved.settings.saved.before_face_restoration
    try:
        return FaceRestoration(wanted, faces.restorer_for(wanted, weight, unload=unload), save_before)
    except RequestError as error:
        other = next(iter(faces.available()), "")
        if not other:
            return FaceRestoration(notices=(f"Faces were not restored. {error}",))
        restore = faces.restorer_for(other, weight, unload=unload)
        return FaceRestoration(other, restore, save_before, (f"{other} restored the faces. {error}",))
