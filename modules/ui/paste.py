"""Reading generation parameters: from the prompt box, from the last generation, or from a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modules.parameters import GenerationRequest, RequestError, parse_request
from modules.parameters.infotext import parse_infotext
from modules.parameters.infotext_request import request_from_infotext
from modules.ui.form import EXTRA, OVERRIDES, SEEDS
from modules.ui.listing import LocalModels
from modules.ui.overrides import override_texts

if TYPE_CHECKING:
    from modules.jobs.services import Services


def form_values(services: Services, text: str) -> tuple[dict[str, object], tuple[str, ...]]:
    """What an infotext puts into the form, by control, and what has to be said about it."""
    pasted = request_from_infotext(parse_infotext(text), services.options.as_dict(), models=LocalModels(services))
    values = {name: _control_value(name, value) for name, value in pasted.fields.items()}
    notices = list(pasted.notices)
    if values.pop("enable_hr", False):
        notices.append("This picture was made with Hires. fix, which this page does not have yet.")
    if len(pasted.fields) > 2:
        values[EXTRA] = _uses_extra(pasted.fields)
        values[OVERRIDES] = override_texts(pasted.override_settings)
    return values, tuple(notices)


def _control_value(name: str, value: object) -> object:
    if name in SEEDS:
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _uses_extra(fields: Mapping[str, object]) -> bool:
    try:
        request = parse_request(fields)
    except RequestError:
        return False
    default = GenerationRequest()
    names = ("subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
    return any(getattr(request, name) != getattr(default, name) for name in names)
