"""What a person noted of a model, in `<stem>.json` beside it: A1111's file, whose unknown keys stay as they are."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modules.files import SaveError, decoded, write_text_atomic
from modules.parameters.infotext_values import printable

MAX_SIDECAR_BYTES: Final = 4_000_000
# What a person says that a checkpoint predicts; A1111 has no such key.
PREDICTION_KEY: Final = "prediction"
TEXT_KEYS: Final = ("description", "notes", "sd version", "activation text", "negative text", "vae", PREDICTION_KEY)
WEIGHT_KEY: Final = "preferred weight"


class SidecarError(ValueError):
    """A sidecar that can't be read. The message is one sentence."""


def read_json_sidecar(path: Path) -> dict[str, Any]:
    """The object in a JSON file beside a model; {} where there is no file. Raises SidecarError."""
    try:
        if path.stat().st_size > MAX_SIDECAR_BYTES:
            raise SidecarError(f"{path.name} is larger than {MAX_SIDECAR_BYTES // 1_000_000} MB, so it is left aside.")
        document = json.loads(decoded(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SidecarError(f"{path.name} can't be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, SidecarError):
            raise
        raise SidecarError(f"{path.name} holds no JSON, so it is left aside.") from error
    if not isinstance(document, dict):
        raise SidecarError(f"{path.name} holds no JSON object, so it is left aside.")
    return document


def text_of(values: Mapping[str, object], key: str) -> str:
    """A text among loosely typed values, as it can be sent to a page; empty where there is none."""
    value = values.get(key)
    return printable(value) if isinstance(value, str) else ""


def weight_of(values: Mapping[str, object]) -> float:
    """The preferred weight; 0 where none is noted, and for what is no number."""
    value = values.get(WEIGHT_KEY)
    try:
        weight = float(value) if isinstance(value, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return weight if math.isfinite(weight) else 0.0


def save_user_metadata(path: Path, changes: Mapping[str, str | float]) -> None:
    """Change these keys in the file and leave all others. The file is replaced as a whole or not at all.

    Raises SidecarError where the file there can't be read, so that it would be lost, and SaveError.
    """
    try:
        values = read_json_sidecar(path)
    except SidecarError as error:
        raise SidecarError(f"{str(error).rstrip('.')}; nothing was saved. Rename that file first.") from error
    values.update(changes)
    try:
        write_text_atomic(path, json.dumps(values, indent=4, ensure_ascii=False))
    except UnicodeEncodeError as error:
        raise SaveError(f"{path.name} was not saved: a text holds half of a character.") from error
