"""The controls of Tiled Diffusion, and how its extension and Forge's MultiDiffusion say them."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, OwnForms, RequestChanges, Script, ScriptError, Values
from modules.settings.choices import IMG2IMG

KEY: Final = "Tiled Diffusion"
MULTIDIFFUSION: Final = "MultiDiffusion"
MIXTURE: Final = "Mixture of Diffusers"
# The extension counts in cells of the latent, Forge in pixels.
_PIXELS: Final = 8
_FORGE_KEY: Final = "multidiffusion_"
_FORGE_NUMBERS: Final = ("tile_width", "tile_height", "tile_overlap", "tile_batch_size")
_NUMBERS: Final = ("tile_width", "tile_height", "overlap", "batch_size")
# The extension's `args` in their order. Some programs send them as one record by these names.
_ARGS: Final = (
    *("enabled", "method", "overwrite_size", "keep_input_size", "image_width", "image_height"),
    *("tile_width", "tile_height", "overlap", "tile_batch_size", "upscaler_name", "scale_factor"),
    *("noise_inverse", "noise_inverse_steps", "noise_inverse_retouch"),
    *("noise_inverse_renoise_strength", "noise_inverse_renoise_kernel"),
    *("control_tensor_cpu", "enable_bbox_control"),
)
_OVERWRITES: Final = _ARGS.index("overwrite_size")
# Those that are here, by their names here.
_TAKEN: Final = {
    "enabled": "enabled",
    "method": "method",
    "tile_width": "tile_width",
    "tile_height": "tile_height",
    "overlap": "overlap",
    "tile_batch_size": "batch_size",
    "noise_inverse": "noise_inversion",
    "noise_inverse_steps": "inversion_steps",
    "noise_inverse_retouch": "inversion_retouch",
    "noise_inverse_renoise_strength": "renoise_strength",
    "noise_inverse_renoise_kernel": "renoise_kernel",
}
_LARGEST_SCALE: Final = 8
# The extension's words in pictures.
_WRITTEN: Final = {
    "Method": "method",
    "Tile tile width": "tile_width",
    "Tile tile height": "tile_height",
    "Tile Overlap": "overlap",
    "Tile batch size": "batch_size",
}
_INVERSION: Final = {
    "NoiseInv": "noise_inversion",
    "NoiseInv Steps": "inversion_steps",
    "NoiseInv Retouch": "inversion_retouch",
    "NoiseInv Renoise strength": "renoise_strength",
    "NoiseInv Kernel size": "renoise_kernel",
}
_READ: Final = {key.casefold(): name for key, name in (_WRITTEN | _INVERSION).items()} | {
    key.casefold().removeprefix("tile "): name for key, name in _WRITTEN.items()
}


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    if len(given) > _OVERWRITES and not isinstance(given[_OVERWRITES], bool):
        # Forge's: the sizes follow at once, in pixels.
        pixels = _in_cells(dict(zip(_NUMBERS, given[_OVERWRITES:], strict=False)))
        return dict(zip(_ARGS, given[:_OVERWRITES], strict=False)) | pixels
    named = _named(given)
    if named.get("enabled") and named.get("enable_bbox_control") is True:
        raise ScriptError(f"{KEY} can't guide regions: use Regional Prompter or Forge Couple.")
    return {own: named[name] for name, own in _TAKEN.items() if named.get(name) is not None}


def _named(given: Sequence[JsonValue]) -> Mapping[str, JsonValue]:
    return given[0] if given and isinstance(given[0], Mapping) else dict(zip(_ARGS, given, strict=False))


def _changes(given: Sequence[JsonValue], size: tuple[int, int], picture: tuple[int, int] | None) -> RequestChanges:
    """A size of its own on txt2img. On img2img the picture, enlarged by an upscaler, in its own size or the request's.

    As in the extension, whose arguments for the other tab say nothing.
    """
    named = _named(given)
    if not named.get("enabled") or (len(given) > _OVERWRITES and not isinstance(given[_OVERWRITES], bool)):
        return RequestChanges()
    if picture is None:
        if named.get("overwrite_size") is not True:
            return RequestChanges()
        return _sized(_number(named, "image_width", size[0]), _number(named, "image_height", size[1]))
    upscaler = named.get("upscaler_name")
    if not isinstance(upscaler, str) or upscaler in ("", "None"):
        return RequestChanges()
    scale = _number(named, "scale_factor", 1)
    if not 1 <= scale <= _LARGEST_SCALE:
        raise ScriptError(f"{KEY} would enlarge the picture {scale:g} times: it must be from 1 to {_LARGEST_SCALE}.")
    width, height = picture if named.get("keep_input_size", True) is True else size
    return replace(_sized(width * scale, height * scale), settings={"upscaler_for_img2img": upscaler})


def _number(named: Mapping[str, JsonValue], name: str, default: float) -> float:
    value = named.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ScriptError(f"{KEY}: {name} is {repr(value)[:40]}: it must be a number.")
    return value


def _sized(width: float, height: float) -> RequestChanges:
    return RequestChanges({"width": int(width) // _PIXELS * _PIXELS, "height": int(height) // _PIXELS * _PIXELS})


def _in_cells(pixels: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, value in pixels.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value if name == "batch_size" else round(value / _PIXELS)
        elif value is not None:
            found[name] = value
    return found


def _written(values: Values) -> Iterator[tuple[str, object]]:
    keys = _WRITTEN | _INVERSION if values["noise_inversion"] else _WRITTEN
    yield KEY, json.dumps({key: values[name] for key, name in keys.items()})


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
        Argument("noise_inversion", "Noise inversion", False, "checkbox", tabs=IMG2IMG),
        Argument("inversion_steps", "Inversion steps", 10, minimum=1, maximum=200, step=1, tabs=IMG2IMG),
        Argument("inversion_retouch", "Retouch", 1, minimum=1, maximum=100, step=0.1, tabs=IMG2IMG),
        Argument("renoise_strength", "Renoise strength", 1, minimum=0, maximum=2, step=0.01, tabs=IMG2IMG),
        Argument("renoise_kernel", "Renoise kernel size", 64, minimum=2, maximum=512, step=1, tabs=IMG2IMG),
    ),
    always_on=True,
    file="tiled_diffusion.py",
    own=OwnForms(_from_api, _written, _read, lambda key: key == KEY or key.startswith(_FORGE_KEY), _changes),
    aliases=("MultiDiffusion Integrated", "MultiDiffusion Integrated (SD 1.x, SD 2.x, SDXL)"),
)


@dataclass(frozen=True, slots=True)
class TiledDiffusionArguments(ScriptArguments):
    """How tiles are weighed, how large they are in cells of the latent, and how many go into one forward; and how the
    noise of a picture is found.
    """

    script: ClassVar[Script] = TILED_DIFFUSION
    method: str
    tile_width: int
    tile_height: int
    overlap: int
    batch_size: int
    noise_inversion: bool
    inversion_steps: int
    inversion_retouch: float
    renoise_strength: float
    renoise_kernel: int
