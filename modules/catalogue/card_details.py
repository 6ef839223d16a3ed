"""What a card's editor shows: the file in a table, the tags that a LoRA was trained on, the metadata as text."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from modules.catalogue.card_facts import expanded
from modules.catalogue.cards import Card
from modules.catalogue.few_steps import few_step_settings
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.pictures_inside import COVERS, THUMBNAIL
from modules.catalogue.safetensors_header import read_safetensors_metadata

MOST_TAGS: Final = 300
_LONGEST_TAG: Final = 200
_LONGEST_METADATA: Final = 2_000_000


def model_metadata(card: Card) -> dict[str, str]:
    """The metadata in the head of a model file, read now; {} where there is none, or none that can be read."""
    if card.files.model.path.suffix.lower() != ".safetensors":
        return {}
    try:
        return read_safetensors_metadata(card.files.model.path)
    except (ModelFileError, OSError):
        return {}


def metadata_text(metadata: Mapping[str, str]) -> str:
    """Metadata for people: pictures left out, JSON inside of texts unfolded. Empty where there is none."""
    shown = {key: value for key, value in metadata.items() if key not in (COVERS, THUMBNAIL)}
    text = json.dumps(expanded(shown), indent=4, ensure_ascii=False) if shown else ""
    return text if len(text) <= _LONGEST_METADATA else text[:_LONGEST_METADATA] + "\n…"


def tag_frequency(metadata: Mapping[str, str]) -> list[tuple[str, int]]:
    """The tags of the training pictures with how many had each, over all folders, the commonest first."""
    folders = expanded(metadata).get("ss_tag_frequency")
    counted: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if isinstance(count, int) and count > 0 and tag.strip():
                counted[tag.strip()[:_LONGEST_TAG]] += count
    return counted.most_common(MOST_TAGS)


def file_table(card: Card, metadata: Mapping[str, str], sha256: str | None) -> list[tuple[str, str]]:
    """Rows about the file: its name, size, hash and date, and how a LoRA was trained. Values are untrusted text."""
    state = card.files.model.state
    rows = [
        ("Filename", card.name),
        ("File size", _size(state.size)),
        ("Hash", sha256 or ""),
        ("Modified", _date(state.mtime_ns / 1e9)),
    ]
    if card.kind == "lora":
        names = (card.stem, card.alias, metadata.get("modelspec.title", ""))
        rows += [("Made for few steps", few_step_settings(names)), *_training(expanded(metadata))]
    return [(label, value) for label, value in rows if value]


def _training(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for label, key in (
        ("Output name", "ss_output_name"),
        ("Model", "ss_sd_model_name"),
        ("Clip skip", "ss_clip_skip"),
        ("Kohya module", "ss_network_module"),
    ):
        value = metadata.get(key)
        yield label, value if isinstance(value, str) and value != "None" else ""
    yield "Date trained", _date(_number(metadata.get("ss_training_started_at")))
    yield "Resolution(s)", ", ".join(_resolutions(metadata.get("ss_bucket_info")))
    folders = metadata.get("ss_dataset_dirs")
    counts = [_number(one.get("img_count")) for one in _dicts(folders)]
    yield "Dataset size", f"{sum(counts):.0f}" if any(counts) else ""


def _resolutions(info: object) -> list[str]:
    """`WxH` of each bucket of the training pictures, the commonest first."""
    buckets = _dicts(info.get("buckets")) if isinstance(info, dict) else []
    counted: Counter[str] = Counter()
    for bucket in buckets:
        match bucket:
            case {"resolution": [int(width), int(height)]}:
                counted[f"{width}x{height}"] += int(_number(bucket.get("count")))
    return [size for size, _ in counted.most_common(20)]


def _dicts(value: object) -> Iterable[Mapping[str, Any]]:
    return [one for one in value.values() if isinstance(one, dict)] if isinstance(value, dict) else []


def _number(value: object) -> float:
    """A number among untrusted values; 0 for what is none, NaN and infinity among them."""
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M") if seconds > 0 else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _size(number: float) -> str:
    for unit in ("B", "KB", "MB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GB"
