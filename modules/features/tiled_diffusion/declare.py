"""The controls of Tiled Diffusion, and how its extension and Forge's MultiDiffusion say them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, OwnForms, Script, ScriptError, Values

KEY: Final = "Tiled Diffusion"
MULTIDIFFUSION: Final = "MultiDiffusion"
MIXTURE: Final = "Mixture of Diffusers"
# The extension counts in cells of the latent, Forge in pixels.
_PIXELS: Final = 8
_FORGE_KEY: Final = "multidiffusion_"
_FORGE_NUMBERS: Final = ("tile_width", "tile_height", "tile_overlap", "tile_batch_size")
# Numbers of the extension's `args`, which name many things that are not here.
_METHOD, _OVERWRITES, _TILE, _UPSCALER, _INVERSION, _CONTROLS_BOXES = 1, 2, 6, 10, 12, 18
_NUMBERS: Final = ("tile_width", "tile_height", "overlap", "batch_size")
# The extension's words in pictures.
_WRITTEN: Final = {
    "Method": "method",
    "Tile tile width": "tile_width",
    "Tile tile height": "tile_height",
    "Tile Overlap": "overlap",
    "Tile batch size": "batch_size",
}
_READ: Final = {key.casefold(): name for key, name in _WRITTEN.items()} | {
    key.casefold().removeprefix("tile "): name for key, name in _WRITTEN.items()
}


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    values: dict[str, JsonValue] = {"enabled": given[0]} if given else {}
    if len(given) > _METHOD and given[_METHOD] is not None:
        values["method"] = given[_METHOD]
    if len(given) > _OVERWRITES and not isinstance(given[_OVERWRITES], bool):
        return values | _in_cells(dict(zip(_NUMBERS, given[_OVERWRITES:], strict=False)))
    for place, what in (
        (_OVERWRITES, "set the picture's size: give width and height of the request"),
        (_INVERSION, "invert the picture's noise: leave noise inversion off"),
        (_CONTROLS_BOXES, "guide regions: use Regional Prompter or Forge Couple"),
    ):
        if given[0] and len(given) > place and given[place] is True:
            raise ScriptError(f"{KEY} can't {what}.")
    if given and given[0] and len(given) > _UPSCALER and given[_UPSCALER] not in (None, "", "None"):
        raise ScriptError(f"{KEY} can't enlarge the picture by {str(given[_UPSCALER])[:40]!r}: resize it before.")
    numbers = zip(_NUMBERS, given[_TILE:_UPSCALER], strict=False)
    return values | {name: value for name, value in numbers if value is not None}


def _in_cells(pixels: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, value in pixels.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value if name == "batch_size" else round(value / _PIXELS)
        elif value is not None:
            found[name] = value
    return found


def _written(values: Values) -> Iterator[tuple[str, object]]:
    yield KEY, json.dumps({key: values[name] for key, name in _WRITTEN.items()})


def _read(infotext: Mapping[str, str]) -> dict[str, JsonValue] | None:
    text = infotext.get(KEY)
    if text is not None:
        return {"enabled": True, **_of_json(text)}
    if infotext.get(f"{_FORGE_KEY}enabled") != "True":
        return None
    pixels: dict[str, JsonValue] = {
        name: float(infotext[f"{_FORGE_KEY}{key}"][:40])
        for name, key in zip(_NUMBERS, _FORGE_NUMBERS, strict=True)
        if f"{_FORGE_KEY}{key}" in infotext
    }
    method = infotext.get(f"{_FORGE_KEY}method", MULTIDIFFUSION)
    return {"enabled": True, "method": method, **_in_cells(pixels)}


def _of_json(text: str) -> dict[str, JsonValue]:
    try:
        # Older versions wrote Python's own form.
        found = json.loads(text) if '"' in text else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = None
    if not isinstance(found, Mapping):
        raise ScriptError(f"{KEY}: {text[:60]!r} in the picture's parameters is not what it writes.")
    return {_READ[key.casefold()]: value for key, value in found.items() if key.casefold() in _READ}


TILED_DIFFUSION: Final = Script(
    KEY,
    arguments=(
        Argument("enabled", "Enable", False, "checkbox"),
        Argument("method", "Method", MULTIDIFFUSION, "radio", choices=(MULTIDIFFUSION, MIXTURE)),
        Argument("tile_width", "Latent tile width", 96, minimum=16, maximum=256, step=8, most=2048),
        Argument("tile_height", "Latent tile height", 96, minimum=16, maximum=256, step=8, most=2048),
        Argument("overlap", "Latent tile overlap", 48, minimum=0, maximum=256, step=4, most=2048),
        Argument("batch_size", "Latent tile batch size", 4, minimum=1, maximum=8, step=1, most=64),
    ),
    always_on=True,
    file="tiled_diffusion.py",
    own=OwnForms(_from_api, _written, _read, lambda key: key == KEY or key.startswith(_FORGE_KEY)),
    aliases=("MultiDiffusion Integrated", "MultiDiffusion Integrated (SD 1.x, SD 2.x, SDXL)"),
)


@dataclass(frozen=True, slots=True)
class TiledDiffusionArguments(ScriptArguments):
    """How tiles are weighed, how large they are in cells of the latent, and how many go into one forward."""

    script: ClassVar[Script] = TILED_DIFFUSION
    method: str
    tile_width: int
    tile_height: int
    overlap: int
    batch_size: int
