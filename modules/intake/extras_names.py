"""Whether what an Extras job names exists: checked by page and API before it is queued."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from modules.catalogue.model_errors import ModelNotFoundError
from modules.catalogue.upscalers import Upscaler, find_upscaler
from modules.parameters import RequestError
from modules.parameters.extras_request import ExtrasRequest
from modules.pictures.postprocessing import FOLDERS


def checked_names(extras: ExtrasRequest, known: Sequence[Upscaler], restorers: Collection[str]) -> ExtrasRequest:
    """`extras` with the listed names of its upscalers. Raises RequestError for one, or a restorer, that is not here."""
    try:
        exact = {field: find_upscaler(getattr(extras, field), known).name for field in ("upscaler_1", "upscaler_2")}
    except ModelNotFoundError as error:
        raise RequestError(str(error)) from error
    for name in extras.restorers:
        if name not in restorers:
            raise RequestError(f"{name} is not here: put its file into models/{FOLDERS[name]}, or set it to 0.")
    return extras.model_copy(update=exact)
