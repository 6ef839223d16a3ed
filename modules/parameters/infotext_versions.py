"""What older writers of infotext meant: defaults they left out, hires as it was, behaviour that changed since."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Final

from modules.parameters.samplers import UnknownSamplerError, find_sampler, resolve_sampler
from modules.settings.choices import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULE

_VERSION: Final = re.compile(r"v?([0-9]{1,6}(?:\.[0-9]{1,6}){1,5})(?:-([0-9]{1,6})(?:-[\w.+-]{1,80})?)?")
_BRACKETS: Final = re.compile(r"\\.?|[(\[]|:\s*+(?P<weight>[+-]?[.\d]++)\s*+\)|[)\]]|[^\\()\[\]:]+|:", re.DOTALL)

# What a missing key means. A1111 v1.10.1 fills these in when it reads.
_DEFAULTS: Final = {
    "Clip skip": "1",
    "Hires resize-1": "0",
    "Hires resize-2": "0",
    "Hires sampler": SAME_SAMPLER,
    "Hires schedule type": SAME_SCHEDULE,
    "Hires checkpoint": SAME_CHECKPOINT,
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": "32",
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": "0",
    "Schedule min sigma": "0",
    "Schedule rho": "0",
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": "False",
}
_WEIGHT_ONE: Final = ("1", "1.", "1.0", "1.00", "+1", "+1.0")
_OLD_HIRES_AREA: Final = 512 * 512
_ADDED_MODEL: Final = "AddNet Model "
_NOT_IN_A_TAG: Final = frozenset(":<>=")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]+")

Version = tuple[tuple[int, ...], int]


def fill_defaults(values: dict[str, str]) -> None:
    """Write into `values` what a missing key means."""
    for key, default in _DEFAULTS.items():
        values.setdefault(key, default)
    if values["FP8 weight"] != "Disable":
        values.setdefault("Cache FP16 weight for LoRA", "False")
    if weighs_words(values["Prompt"]) or weighs_words(values["Negative prompt"]):
        values.setdefault("Emphasis", "Original")


def weighs_words(prompt: str) -> bool:
    """Whether a bracket, closed or not, gives the text in it another weight than 1."""
    opened: dict[str, list[int]] = {")": [], "]": []}
    texts = 0
    for match in _BRACKETS.finditer(prompt):
        piece = match.group()
        closer = {"(": ")", "[": "]"}.get(piece)
        if closer:
            opened[closer].append(texts)
        elif piece[-1] in opened and piece[0] != "\\" and opened[piece[-1]]:
            if opened[piece[-1]].pop() < texts and match["weight"] not in _WEIGHT_ONE:
                return True
        else:
            texts += 1
    return any(start < texts for starts in opened.values() for start in starts)


def append_hypernetwork(values: dict[str, str]) -> None:
    """Before 1.0 a hypernetwork was a setting; now it is a tag at the end of the prompt."""
    if name := values.get("Hypernet"):
        values["Prompt"] += f"<hypernet:{name}:{values.get('Hypernet strength', '1.0')}>"


def append_added_networks(values: dict[str, str]) -> None:
    """What the extension Additional Networks had in fields of its own are tags in a line behind the prompt."""
    if tags := added_networks(values):
        values["Prompt"] += "\n" + "".join(tags.values())


def added_networks(values: Mapping[str, str]) -> dict[str, str]:
    """Tags of the LoRAs that the extension Additional Networks applied, by its numbers.

    `AddNet Module 1: LoRA, AddNet Model 1: ink(0123456789ab), AddNet Weight A 1: 0.8` → `<lora:ink:0.8>`, as A1111
    reads it. Modules other than LoRA, and names that no tag can hold, are left out.
    """
    tags: dict[str, str] = {}
    for key in [key for key in values if key.startswith(_ADDED_MODEL)]:
        number = key.removeprefix(_ADDED_MODEL)
        name, weight = _without_hash(values[key]), values.get(f"AddNet Weight A {number}", "1.0")
        if values.get(f"AddNet Module {number}") == "LoRA" and not _NOT_IN_A_TAG & {*name, *weight}:
            tags[number] = f"<lora:{name}:{weight}>"
    return tags


def is_key_of_added_networks(key: str, numbers: Collection[str]) -> bool:
    """Whether an infotext's key says something of the extension's LoRAs that have these numbers."""
    if not numbers or not key.startswith("AddNet "):
        return False
    return key == "AddNet Enabled" or key.rpartition(" ")[2] in numbers


def _without_hash(name: str) -> str:
    """`ink(0123456789ab)` → `ink`."""
    bare, _, digits = name.removesuffix(")").rpartition("(")
    return bare.rstrip() if bare and name.endswith(")") and _HEXADECIMAL.fullmatch(digits) else name


def restore_old_hires(values: dict[str, str]) -> None:
    """Before 1.0 `Size` was the final size and `First pass size` the first one; 0x0 meant about 512 x 512."""
    first = _side(values, "First pass size-1"), _side(values, "First pass size-2")
    final = _side(values, "Size-1"), _side(values, "Size-2")
    if first[0] is None or first[1] is None or not final[0] or not final[1]:
        return
    width, height = first
    if width == 0 or height == 0:
        width, height = old_first_pass_size(final[0], final[1])
    values |= {"Size-1": str(width), "Size-2": str(height)}
    values |= {"Hires resize-1": str(final[0]), "Hires resize-2": str(final[1])}


def old_first_pass_size(width: int, height: int) -> tuple[int, int]:
    """The size of the first pass of hires before 1.0, given the final one: about 512 x 512, in steps of 64."""
    scale = math.sqrt(_OLD_HIRES_AREA / (width * height))
    return math.ceil(scale * width / 64) * 64, math.ceil(scale * height / 64) * 64


def _side(values: dict[str, str], key: str) -> int | None:
    text = values.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def split_old_sampler(values: dict[str, str]) -> None:
    """Before 1.9 the schedule was a part of the sampler's name: "DPM++ 2M Karras"."""
    for sampler, schedule in (("Sampler", "Schedule type"), ("Hires sampler", "Hires schedule type")):
        name = values.get(sampler)
        if not name or len(name) > 100 or find_sampler(name) or name == _DEFAULTS.get(sampler):
            continue
        try:
            choice = resolve_sampler(name, values.get(schedule, "Automatic"), strict=True)
        except UnknownSamplerError:
            continue
        except ValueError:
            choice = resolve_sampler(name)
        values[sampler], values[schedule] = choice.sampler.label, choice.schedule.label


def restore_old_behaviour(values: dict[str, str]) -> None:
    """Turn on what the version that wrote the text did. A version that can't be read, or none, changes nothing."""
    version = parse_version(values.get("Version", ""))
    if version is None:
        return
    if version < _V160 and "[" in values["Prompt"]:
        values["Old prompt editing timelines"] = "True"
    if version < _V160 and values.get("Sampler") in ("DDIM", "PLMS"):
        values["Pad conds v0"] = "True"
    if version < _V170_225:
        values["Downcast alphas_cumprod"] = "True"
    if version < _V180 and values.get("Refiner"):
        values["Refiner switch by sampling steps"] = "True"


def parse_version(text: str) -> Version | None:
    """`v1.7.0-225-gabc` as ((1, 7), 225); zeros at the end do not count. None for what isn't of A1111's form."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return None
    numbers = [int(part) for part in match.group(1).split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), int(match.group(2) or 0)


_V160: Final[Version] = ((1, 6), 0)
_V170_225: Final[Version] = ((1, 7), 225)
_V180: Final[Version] = ((1, 8), 0)
