"""What tensor shapes don't say about a checkpoint, gathered from its metadata, then its sidecar files.

Sources, strongest first: the safetensors `__metadata__` (our own `webui.*` keys, then ModelSpec's `modelspec.*`,
https://github.com/Stability-AI/ModelSpec), `<name>.json` beside the file with the same keys, and the
`<name>.yaml` that Stable Diffusion 2 checkpoints come with. A field that nobody states is None.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.user_metadata import MAX_SIDECAR_BYTES, SidecarError, read_json_sidecar
from modules.families import PredictionType

_PREDICTION_NAMES: Final[Mapping[str, PredictionType]] = {
    "epsilon": "epsilon", "eps": "epsilon", "v": "v_prediction", "v_prediction": "v_prediction",
    "v-prediction": "v_prediction", "vpred": "v_prediction", "v_pred": "v_prediction",
    "edm": "edm", "edm_v_prediction": "edm_v_prediction",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelHints:
    """Stated facts about a model; heads are one number, or one per level or text encoder."""

    prediction_type: PredictionType | None = None
    zero_terminal_snr: bool | None = None
    resolution: tuple[int, int] | None = None
    """Native (width, height) in pixels."""
    architecture: str | None = None
    unet_groups: int | None = None
    vae_groups: int | None = None
    unet_heads: tuple[int, ...] | None = None
    text_heads: tuple[int, ...] | None = None
    vae_scaling_factor: float | None = None


def hints_from_mapping(values: Mapping[str, object], source: str) -> ModelHints:
    """Read the keys that we know; anything else is left alone. `source` names the file in errors."""
    reader = _MetadataReader(values, source)
    prediction = reader.text("webui.prediction_type", "modelspec.prediction_type", "prediction_type")
    if prediction is not None and prediction.lower() not in _PREDICTION_NAMES:
        raise ModelFileError(
            f"{source} states the prediction type {prediction[:40]!r}; only 'epsilon', 'v_prediction', "
            "'edm' and 'edm_v_prediction' are known."
        )
    snr = reader.text("webui.zero_terminal_snr", "zero_terminal_snr", "ztsnr")
    return ModelHints(
        prediction_type=None if prediction is None else _PREDICTION_NAMES[prediction.lower()],
        zero_terminal_snr=None if snr is None else snr.lower() not in ("0", "false", "no", ""),
        resolution=reader.resolution("webui.resolution", "modelspec.resolution", "resolution"),
        architecture=reader.text("modelspec.architecture"),
        unet_groups=reader.count("webui.unet.norm_num_groups"),
        vae_groups=reader.count("webui.vae.norm_num_groups"),
        unet_heads=reader.counts("webui.unet.attention_heads"),
        text_heads=reader.counts("webui.text_encoder.attention_heads"),
        vae_scaling_factor=reader.positive("webui.vae.scaling_factor"),
    )


def merge_hints(*ranked: ModelHints) -> ModelHints:
    """Field by field, the first source that states something wins."""
    merged = {}
    for field in ModelHints.__dataclass_fields__:
        stated = (getattr(hints, field) for hints in ranked)
        merged[field] = next((value for value in stated if value is not None), None)
    return ModelHints(**merged)


def gather_hints(path: Path, metadata: Mapping[str, str]) -> ModelHints:
    """All that is stated about the model file `path`, whose safetensors metadata is `metadata` ({} for a pickle)."""
    return merge_hints(
        hints_from_mapping(metadata, path.name),
        _hints_from_json(path.with_suffix(".json")),
        _hints_from_yaml(path.with_suffix(".yaml")),
    )


def read_sidecar(path: Path) -> dict[str, object]:
    """A1111's user metadata file `<name>.json` (description, notes, activation text, vae, ...); {} when absent.

    A sidecar is a nicety: one that is damaged, huge or unreadable counts as absent.
    """
    try:
        return read_json_sidecar(path)
    except SidecarError:
        return {}


def _hints_from_json(path: Path) -> ModelHints:
    return hints_from_mapping(read_sidecar(path), path.name)


def _hints_from_yaml(path: Path) -> ModelHints:
    """`parameterization` and `image_size` of a training configuration; two scalars do not need a YAML parser."""
    try:
        text = path.read_text("utf-8", errors="replace")[:MAX_SIDECAR_BYTES]
    except OSError:
        return ModelHints()
    parameterization = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", text, re.MULTILINE)
    known = parameterization is not None and parameterization[1] in _PREDICTION_NAMES
    latent = re.search(r"^\s*image_size:\s*(\d{1,4})\b", text, re.MULTILINE)
    side = int(latent[1]) * 8 if latent else 0
    return ModelHints(
        prediction_type=_PREDICTION_NAMES[parameterization[1]] if parameterization and known else None,
        resolution=(side, side) if 64 <= side <= 8192 else None,
    )


@dataclass(frozen=True, slots=True)
class _MetadataReader:
    """Typed look-ups in loosely typed metadata; what is stated wrongly is an error, never a silent default."""

    values: Mapping[str, object]
    source: str

    def text(self, *keys: str) -> str | None:
        for key in keys:
            value = self.values.get(key)
            if isinstance(value, str | int | float):
                return str(value).strip()
        return None

    def count(self, key: str) -> int | None:
        counts = self.counts(key)
        if counts is not None and len(counts) != 1:
            raise self._wrong(key, "one whole number")
        return None if counts is None else counts[0]

    def counts(self, key: str) -> tuple[int, ...] | None:
        value = self.text(key)
        if value is None:
            return None
        parts = value.split(",")
        if len(parts) > 16 or not all(re.fullmatch(r"\s*[1-9]\d{0,4}\s*", part) for part in parts):
            raise self._wrong(key, "whole numbers above zero")
        return tuple(int(part) for part in parts)

    def positive(self, key: str) -> float | None:
        value = self.text(key)
        if value is None:
            return None
        if not re.fullmatch(r"\d+(\.\d+)?([eE]-?\d{1,2})?", value) or float(value) <= 0:
            raise self._wrong(key, "a number above zero")
        return float(value)

    def resolution(self, *keys: str) -> tuple[int, int] | None:
        """ModelSpec writes "WxH"; one that makes no sense is ignored, for it only pre-fills two sliders."""
        value = self.text(*keys) or ""
        found = re.fullmatch(r"(\d{2,5})(?:\s*[xX×]\s*(\d{2,5}))?", value)
        if found is None:
            return None
        width, height = int(found[1]), int(found[2] or found[1])
        return (width, height) if min(width, height) >= 64 and max(width, height) <= 16384 else None

    def _wrong(self, key: str, expected: str) -> ModelFileError:
        return ModelFileError(f"{self.source} states {key} = {str(self.values[key])[:40]!r}, which must be {expected}.")
