"""From the keys of an infotext to a request: fields, settings for this request only, and what has to be said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from pydantic import JsonValue, ValidationError

from modules.features.infotext import is_key_of_script, scripts_from_infotext
from modules.parameters.declaration import declared_parameters
from modules.parameters.infotext_options import Recording
from modules.parameters.infotext_versions import added_networks, is_key_of_added_networks, split_old_sampler
from modules.parameters.pasting_options import PastingOptions
from modules.parameters.request import MAXIMUM_PROMPT, GenerationRequest
from modules.parameters.samplers import UnknownSamplerError, find_sampler, resolve_sampler
from modules.parameters.schedules import UnknownScheduleError, resolve_schedule
from modules.parameters.token_merging import IMG2IMG
from modules.settings import OPTIONS, Option, OptionError
from modules.settings.choices import MASKED_CONTENTS
from modules.settings.groups import option_value, read_options

_HASH: Final = re.compile(r"[0-9a-fA-F]{4,64}")
_MOST_HASHES: Final = 200
# No name of a sampler or a file is longer; the search for the nearest one would take long.
_LONGEST_NAME: Final = 300
# Forge names text encoders and VAEs in files of their own so, without their suffixes.
_MODULE: Final = re.compile(r"Module [1-9]")
_LONGEST_NOTICE: Final = 400
_WHOLE: Final = re.compile(r"-?[0-9]{1,40}")
_LORA: Final = re.compile(r"<lora:([^:>]+)(?=[:>])")

# Keys that speak about the picture or its file rather than about how to make it.
_DECISIVE: Final = frozenset(
    {
        *("Model", "Model hash", "VAE hash", "Version", "User", "Lora hashes", "TI hashes", "Hashes"),
        *("Created Date", "Civitai resources", "Civitai metadata", "Init image hash", "Batch size", "Batch pos"),
        *("Hypernet", "Hypernet strength", "First pass size-1", "First pass size-2"),
        *("Template", "Negative Template", "Note"),
    }
)
# Settings that fields or models decide.
_DECIDED_ELSEWHERE: Final = frozenset(
    {"sd_model_checkpoint", "sd_vae", "forge_additional_modules", "face_restoration", "tiling"}
)
# Written only where they differ from this: to leave them out is to say so.
_WHEN_ABSENT: Final[Mapping[str, object]] = {
    "subseed": -1,
    "distilled_cfg_scale": 0.0,
    "subseed_strength": 0.0,
    "seed_resize_from_w": 0,
    "seed_resize_from_h": 0,
    "hr_second_pass_steps": 0,
    "hr_cfg": None,
    "refiner_checkpoint": "",
}


class LocalFile(NamedTuple):
    """The name under which a model is here. `same` is false where its hash is known to be another one."""

    name: str
    same: bool = True


class ModelLookup(Protocol):
    """What lies on this machine. Hashes may be empty or cut short; None means that there is no such model."""

    def checkpoint(self, name: str, sha256: str) -> LocalFile | None: ...

    def vae(self, name: str, sha256: str) -> LocalFile | None: ...

    def module(self, name: str) -> LocalFile | None: ...

    def network(self, name: str, sha256: str) -> LocalFile | None: ...

    def embedding(self, name: str, sha256: str) -> LocalFile | None: ...


class PastedRequest(NamedTuple):
    """`fields` are of GenerationRequest, `override_settings` differ from the settings in force."""

    fields: dict[str, Any]
    override_settings: dict[str, JsonValue]
    notices: tuple[str, ...]


def request_from_infotext(
    parsed: Mapping[str, object], options: Mapping[str, object], *, models: ModelLookup | None = None
) -> PastedRequest:
    """Turn what `parse_infotext` read into fields and override settings, given the settings in force.

    A key that is only written where it matters means its default where it is missing, so that pasting gives the same
    picture whatever the settings are. What can't be taken over is named in `notices`; nothing differs silently.
    """
    in_force = read_options(PastingOptions, options)
    read = {key: str(value) for key, value in parsed.items()}
    split_old_sampler(read)
    if (scale := read.pop("Distilled CFG Scale", None)) is not None:
        # One field, whose name depends on the model.
        read.setdefault("Shift", scale)
        if read.get("Hires Distilled CFG Scale") == scale:
            # Forge always writes it; the hires pass has that of the first pass here.
            del read["Hires Distilled CFG Scale"]
    values = {key: value for key, value in read.items() if key not in in_force.skipped}
    notices: list[str] = []
    fields = _prompts(values, models, notices)
    overrides: dict[str, JsonValue] = {}
    if _has_parameters(values):
        fields |= _fields(values, notices)
        fields["scripts"] = scripts_from_infotext(values, notices)
        fields["tiling"] = values.get("Tiling") == "True" or (False if in_force.tiling else None)
        overrides |= _overrides(values, fields, options, notices)
        overrides |= _faces(values, in_force)
        overrides |= _models(values, in_force, models, notices)
        fields["refiner_checkpoint"] = _refiner(fields["refiner_checkpoint"], models, notices)
        _name_the_rest(values, notices)
    return PastedRequest(fields, overrides, tuple(map(_short, notices)))


def _faces(values: Mapping[str, str], in_force: PastingOptions) -> dict[str, JsonValue]:
    """Which restorer went over the faces, as settings, as far as those of now are others."""
    named = values.get("Face restoration", "None")
    if named == "None":
        return {"face_restoration": False} if in_force.restores_faces else {}
    overrides: dict[str, JsonValue] = {} if in_force.restores_faces else {"face_restoration": True}
    return overrides if in_force.face_restorer == named else overrides | {"face_restoration_model": named}


def _short(notice: str) -> str:
    return notice if len(notice) <= _LONGEST_NOTICE else f"{notice[:_LONGEST_NOTICE]}..."


def _has_parameters(values: Mapping[str, str]) -> bool:
    return any(key in values for key in ("Steps", "Sampler", "Seed", "Size-1"))


def _prompts(values: Mapping[str, str], models: ModelLookup | None, notices: list[str]) -> dict[str, Any]:
    """Both prompts, LoRA names replaced by the local ones of the same hash."""
    prompt = values.get("Prompt", "")
    if models is not None:
        local: dict[str, str] = {}
        for name, sha256 in _hashes(values.get("Lora hashes", "")):
            found = models.network(name, sha256)
            if found is None:
                notices.append(f"The LoRA {name} ({sha256}) is not here; the picture will differ without it.")
            else:
                local[name] = found.name
                notices += _if_other("LoRA", name, sha256, found)
        prompt = _LORA.sub(lambda tag: f"<lora:{local.get(_bare(tag.group(1)), tag.group(1))}", prompt)
        for name, sha256 in _hashes(values.get("TI hashes", "")):
            embedding = models.embedding(name, sha256)
            if embedding is None:
                notices.append(f"The embedding {name} ({sha256}) is not here; its name is read as plain words.")
            elif embedding.same and embedding.name.lower() != name.lower():
                notices.append(f"The embedding {name} ({sha256}) is called {embedding.name} here: write that instead.")
            else:
                notices += _if_other("embedding", name, sha256, embedding)
    return {"prompt": prompt, "negative_prompt": values.get("Negative prompt", "")}


def _if_other(kind: str, name: str, sha256: str, found: LocalFile) -> Iterator[str]:
    if not found.same:
        yield f"The {kind} {name} is here, but as another file than {sha256}; the picture will differ."


def _bare(name: str) -> str:
    """A name as it stands among hashes, where commas and colons mean something."""
    return name.replace(",", "").replace(":", "")


def _hashes(text: str) -> Iterator[tuple[str, str]]:
    """Names and hashes of `ink: 0f1e2d3c4b5a, paper: 123456789abc`."""
    for part in text.split(",")[:_MOST_HASHES]:
        name, _, sha256 = (piece.strip() for piece in part.rpartition(":"))
        if 0 < len(name) <= _LONGEST_NAME and _HASH.fullmatch(sha256):
            yield name, sha256


def _fields(values: Mapping[str, str], notices: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(_WHEN_ABSENT)
    for name, text in _field_texts(values, notices):
        try:
            checked = GenerationRequest.model_validate({name: _in_steps_of_8(name, text, notices)})
        except ValidationError as error:
            reason = str(error.errors()[0]["msg"])
            notices.append(f"{text[:60]!r} can't be taken over as {name}: {reason[:1].lower()}{reason[1:]}.")
        else:
            fields[name] = getattr(checked, name)
    if "mask_blur_x" in fields:
        fields["mask_blur_y"] = fields["mask_blur_x"]
    fields["enable_hr"] = _asks_for_hires(values)
    return fields


def _asks_for_hires(values: Mapping[str, str]) -> bool:
    """Whether the text is of a hires picture.

    A1111 takes the resize keys that it filled in itself for a yes, and so turns hires on for every img2img picture.
    """
    sizes = values.get("Hires resize-1", "0"), values.get("Hires resize-2", "0")
    hires = "Hires upscale" in values or "Hires upscaler" in values or any(size != "0" for size in sizes)
    return "Denoising strength" in values and hires


def _in_steps_of_8(name: str, text: str, notices: list[str]) -> str:
    if name not in ("width", "height") or not text.isdecimal() or len(text) > 9 or int(text) % 8 == 0:
        return text
    nearest = str(max(64, round(int(text) / 8) * 8))
    notices.append(f"The {name} of {text} became {nearest}: sides are multiples of 8.")
    return nearest


def _field_texts(values: Mapping[str, str], notices: list[str]) -> Iterator[tuple[str, str]]:
    """Fields and the text for each, in the words of GenerationRequest rather than of infotext."""
    samplers = dict(_samplers(values, notices))
    for declared in declared_parameters(GenerationRequest):
        key, name = declared.parameter.infotext, declared.name
        if key is None or key not in values or name in ("prompt", "negative_prompt", "tiling"):
            continue
        if name in _SAMPLER_FIELDS:
            if name in samplers:
                yield name, samplers[name]
        elif name in _WORDS:
            words = _WORDS[name]
            if values[key] in words:
                yield name, str(words.index(values[key]))
            else:
                notices.append(f"{key} is {values[key][:60]!r}, which is none of: {', '.join(words)}.")
        else:
            yield name, values[key]


_WORDS: Final = {
    "inpainting_mask_invert": ("Inpaint masked", "Inpaint not masked"),
    "inpainting_fill": MASKED_CONTENTS,
    "inpaint_full_res": ("Whole picture", "Only masked"),
}
_SAMPLER_FIELDS: Final = ("sampler_name", "scheduler", "hr_sampler_name", "hr_scheduler")


def _samplers(values: Mapping[str, str], notices: list[str]) -> Iterator[tuple[str, str]]:
    schedule = values.get("Schedule type", "Automatic")[:_LONGEST_NAME]
    try:
        if "Sampler" in values:
            choice = resolve_sampler(values["Sampler"][:_LONGEST_NAME], schedule, strict=True)
            yield from (("sampler_name", choice.sampler.label), ("scheduler", choice.schedule.label))
        yield from _hires_sampler(values)
    except (UnknownSamplerError, UnknownScheduleError) as error:
        notices.append(str(error))


def _hires_sampler(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Before 1.9 the hires sampler's name had its schedule in it, and there was no key for that."""
    same = (GenerationRequest.model_fields[name].default for name in ("hr_sampler_name", "hr_scheduler"))
    same_sampler, same_schedule = map(str, same)
    sampler = values.get("Hires sampler", same_sampler)[:_LONGEST_NAME]
    schedule = values.get("Hires schedule type", same_schedule)[:_LONGEST_NAME]
    if schedule != same_schedule:
        schedule = resolve_schedule(schedule, strict=True).label
    if sampler != same_sampler:
        choice = resolve_sampler(sampler, strict=True)
        schedule = schedule if find_sampler(sampler) else choice.schedule.label
        sampler = choice.sampler.label
    yield from (("hr_sampler_name", sampler), ("hr_scheduler", schedule))


def _overrides(
    values: Mapping[str, str], fields: Mapping[str, Any], options: Mapping[str, object], notices: list[str]
) -> dict[str, JsonValue]:
    """Settings whose recorded value, or the default where it isn't recorded, is not the one in force."""
    made_from_picture = "Denoising strength" in values and not fields["enable_hr"]
    mode = "img2img" if made_from_picture else "txt2img"
    # Whoever runs it says that a prompt is too long; here only its brackets count.
    prompts = {name: fields[name][:MAXIMUM_PROMPT] for name in ("prompt", "negative_prompt")}
    request = GenerationRequest.model_validate({**fields, **prompts, "scripts": {}, "mode": mode})
    run = Recording.with_options(request, options)
    overrides: dict[str, JsonValue] = {}
    for key, option in OPTIONS.items():
        if option.infotext is None or key in _DECIDED_ELSEWHERE:
            continue
        text = values.get(option.infotext)
        if text is None and not run.had_effect(key):
            continue
        try:
            value = option.checked(_typed(option, text))
        except (OptionError, OverflowError, ValueError):
            notices.append(f"{option.infotext} is {(text or '')[:60]!r}, which that setting can't take.")
            continue
        if value != option_value(key, options):
            overrides[key] = list(value) if isinstance(value, tuple) else value
    if mode == "img2img" and option_value(IMG2IMG, options):
        # What the text says is what applied; the setting for img2img would go before it.
        overrides[IMG2IMG] = 0.0
    return overrides


def _typed(option: Option, text: str | None) -> object:
    if text is None:
        return option.default
    match option.kind:
        case "switch":
            return text != "False"
        case "whole":
            return int(text) if _WHOLE.fullmatch(text) else float(text[:_LONGEST_NAME])
        case "number":
            return float(text[:_LONGEST_NAME])
    return text


def _models(
    values: Mapping[str, str], in_force: PastingOptions, models: ModelLookup | None, notices: list[str]
) -> dict[str, JsonValue]:
    overrides: dict[str, JsonValue] = {}
    name, sha256 = values.get("Model", ""), values.get("Model hash", "")
    if models is not None and (name or sha256) and not (sha256 and f"[{sha256}]" in in_force.checkpoint):
        said = f"{name or 'a checkpoint'} [{sha256}]" if sha256 else name
        found = models.checkpoint(name, sha256)
        if found is None:
            notices.append(f"This picture was made with {said}, which is not here; the loaded checkpoint stays.")
        elif found == LocalFile(in_force.checkpoint):
            pass
        elif not in_force.keeps_checkpoint:
            overrides["sd_model_checkpoint"] = found.name
            notices += _if_other("checkpoint", name, sha256, found)
        else:
            notices.append(f"This picture was made with {said}; the loaded checkpoint stays, as the settings say.")
    vae = values.get("VAE")
    if vae and models is not None:
        local = models.vae(vae, values.get("VAE hash", ""))
        if local is None:
            notices.append(f"The VAE {vae} [{values.get('VAE hash', 'no hash')}] is not here; the loaded one stays.")
        else:
            notices += _if_other("VAE", vae, values.get("VAE hash", ""), local)
            if local.name != in_force.vae:
                overrides["sd_vae"] = local.name
    named = [value for key, value in values.items() if _MODULE.fullmatch(key) and value != "Built-in"]
    if named and models is not None:
        modules = {name: models.module(name) for name in named}
        notices += [f"The module {name} is not here: what alone fits is used." for name in named if not modules[name]]
        here: list[JsonValue] = [one.name for one in modules.values() if one is not None]
        if here and tuple(map(str, here)) != in_force.modules:
            overrides["forge_additional_modules"] = here
    return overrides


def _refiner(said: str, models: ModelLookup | None, notices: list[str]) -> str:
    """The title of the refiner that infotext names `name [hash]`; none where it is not here."""
    if models is None or not said:
        return said
    name, _, bracket = said.rpartition(" [")
    sha256 = bracket.removesuffix("]") if name else ""
    found = models.checkpoint(name or said, sha256)
    if found is None:
        notices.append(f"The refiner {said[:100]} is not here; the picture will differ without it.")
        return ""
    notices += _if_other("refiner", name, sha256, found)
    return found.name


def _name_the_rest(values: Mapping[str, str], notices: list[str]) -> None:
    known = {declared.parameter.infotext for declared in declared_parameters(GenerationRequest)}
    known |= {option.infotext for option in OPTIONS.values()}
    added = added_networks(values)
    known |= {key for key in values if _MODULE.fullmatch(key) or is_key_of_added_networks(key, added)}
    rest = [key for key in values if key not in known and key not in _DECISIVE and not is_key_of_script(key)]
    if rest:
        shown = ", ".join(rest[:12]) + (", ..." if len(rest) > 12 else "")
        notices.append(f"Nothing here takes over: {shown[:300]}.")
