"""Reading generation parameters: from the prompt box, from the last generation, or from a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from modules.catalogue.lookup import LocalModels
from modules.intake.checkpoints import options_in_force
from modules.intake.networks import prefers_alias
from modules.page import listing
from modules.page.form import EXTRA, OVERRIDES, REFINER, SEEDS
from modules.page.hires import PROMPT_FIELDS, SAMPLER_FIELDS
from modules.page.overrides import override_texts
from modules.page.scripts import script_controls
from modules.parameters import GenerationRequest, RequestError, parameter_of, parse_request
from modules.parameters.infotext import parse_infotext
from modules.parameters.infotext_request import PastedRequest, request_from_infotext
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.prompt import extract_styles

if TYPE_CHECKING:
    from modules.jobs.services import Services


def pasted_request(services: Services, text: str) -> PastedRequest:
    """What an infotext says of a request, in the words of the files that are here."""
    models = LocalModels(services.catalogue, prefers_alias=prefers_alias(services.options))
    parsed = parse_infotext(text, backcompat=services.options.switch("auto_backcompat"))
    return request_from_infotext(parsed, options_in_force(services.catalogue, services.options), models=models)


def form_values(services: Services, text: str) -> tuple[dict[str, object], tuple[str, ...]]:
    """What an infotext puts into the form, by control, and what has to be said about it."""
    pasted = pasted_request(services, text)
    fields = {**pasted.fields, **_styles_taken_out(services, pasted.fields)}
    values = {name: _control_value(name, value) for name, value in fields.items()}
    notices = list(pasted.notices)
    notices += _said_of_hires(services, pasted.fields)
    if len(pasted.fields) > 2:
        values |= script_controls(pasted.fields["scripts"])
        values[EXTRA] = _uses_extra(pasted.fields)
        values[REFINER] = bool(pasted.fields["refiner_checkpoint"])
        values[OVERRIDES] = override_texts(pasted.override_settings)
    return values, tuple(notices)


def _styles_taken_out(services: Services, fields: Mapping[str, object]) -> dict[str, object]:
    """The prompts without the texts of saved styles, and the styles, as `infotext_styles` says."""
    rule = services.options.text("infotext_styles")
    if rule == "Ignore" or "prompt" not in fields:
        return {}
    styles = services.styles.all()
    prompt, negative, names = extract_styles(str(fields["prompt"]), str(fields.get("negative_prompt", "")), styles)
    if rule == "Apply" or (rule == "Apply if any" and names):
        return {"prompt": prompt, "negative_prompt": negative, "styles": tuple(names)}
    return {"prompt": prompt, "negative_prompt": negative}


def _said_of_hires(services: Services, fields: Mapping[str, object]) -> Iterator[str]:
    """An upscaler that is missing; and a sampler or prompts of its own, whose controls a setting hides."""
    hidden = (("hires_fix_show_sampler", SAMPLER_FIELDS), ("hires_fix_show_prompts", PROMPT_FIELDS))
    if not fields.get("enable_hr"):
        return
    upscaler = str(fields.get("hr_upscaler", LATENT_UPSCALE_MODES[0]))
    if upscaler not in listing.hires_upscalers(services):
        yield f"The hires upscaler {upscaler[:100]} is not here: choose another, or put its file into models/ESRGAN."
    for option, names in hidden:
        given = [name for name in names if fields.get(name, _default(name)) != _default(name)]
        if given and not services.options.switch(option):
            labels = ", ".join(parameter_of(GenerationRequest, name).parameter.label for name in given)
            yield f"Read as well, though not shown: {labels}. Settings, User interface, has a switch that shows them."


def _default(name: str) -> object:
    return GenerationRequest.model_fields[name].default


def _control_value(name: str, value: object) -> object:
    if name in SEEDS:
        return str(value)
    if name == "inpaint_full_res":
        return int(bool(value))
    return list(value) if isinstance(value, tuple) else value


def _uses_extra(fields: Mapping[str, object]) -> bool:
    try:
        request = parse_request(fields)
    except RequestError:
        return False
    default = GenerationRequest()
    names = ("subseed_strength", "seed_resize_from_w", "seed_resize_from_h")
    return any(getattr(request, name) != getattr(default, name) for name in names)
