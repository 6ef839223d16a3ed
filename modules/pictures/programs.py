"""Which program made a picture, by what it left in the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from modules.pictures.foreign_json import xmp_parameters
from modules.pictures.metadata import ImageMetadata

OURS: Final = "Web UI"
A1111: Final = "AUTOMATIC1111"
# Keys that only one program writes, and names that stand in the JSON of one; the first that is there counts.
_BY_KEY: Final = (
    ("invokeai_metadata", "InvokeAI"),
    ("sd-metadata", "InvokeAI"),
    ("Dream", "InvokeAI"),
    ("dream", "InvokeAI"),
    ("fooocus_scheme", "Fooocus"),
    ("use_stable_diffusion_model", "Easy Diffusion"),
)
_BY_WORD: Final = (
    ("sui_image_params", "SwarmUI"),
    ("RuinedFooocus", "RuinedFooocus"),
    ("Fooocus", "Fooocus"),
    ('"performance"', "Fooocus"),
)
_GRAPHS: Final = ("workflow", "prompt")
# `v1.10.1-1-w0.2.0`: see modules.version.
_OWN_VERSION: Final = re.compile(r"v[\d.]+-\d+-w[\d.]+")
_FORGE_VERSION: Final = re.compile(r"f\d|neo", re.IGNORECASE)


def program_of(metadata: ImageMetadata, said: Mapping[str, str]) -> str:
    """The name of the program that made a picture, from its metadata and its infotext's pairs; empty where unknown."""
    items = metadata.items
    if items.get("Software") == "NovelAI":
        return "NovelAI"
    for key, program in _BY_KEY:
        if key in items:
            return program
    written = "\n".join(items.get(key, "") for key in ("parameters", "exif comment"))
    for word, program in _BY_WORD:
        if word in written:
            return program
    if "c" in xmp_parameters(items.get("XML:com.adobe.xmp", "")):
        return "Draw Things"
    if any(items.get(key, "").lstrip().startswith("{") for key in _GRAPHS):
        return "ComfyUI"
    return _of_infotext(said)


def _of_infotext(said: Mapping[str, str]) -> str:
    version = said.get("Version", "")
    if _OWN_VERSION.fullmatch(version):
        return OURS
    if _FORGE_VERSION.match(version):
        return "Forge"
    if "SD.Next" in said.get("App", "") or said.get("Backend") in ("Original", "Diffusers"):
        return "SD.Next"
    return A1111 if said else ""
