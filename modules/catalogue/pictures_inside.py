"""Pictures in the metadata of model files: `ssmd_cover_images` (a JSON list) and ModelSpec's thumbnail (a data URL)."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Final

COVERS: Final = "ssmd_cover_images"
THUMBNAIL: Final = "modelspec.thumbnail"
_MOST_BYTES: Final = 32_000_000


def holds_picture(metadata: Mapping[str, str]) -> bool:
    """Whether there seems to be one; nothing is decoded for it."""
    return metadata.get(COVERS, "") not in ("", "[]") or metadata.get(THUMBNAIL, "").startswith("data:image/")


def picture_inside(metadata: Mapping[str, str], index: int = 0) -> bytes | None:
    """The picture of that number, the cover images first; None where there is none. The bytes may be anything."""
    covers = _covers(metadata)
    thumbnail = metadata.get(THUMBNAIL, "")
    if thumbnail.startswith("data:image/"):
        covers.append(thumbnail.partition(",")[2])
    if not 0 <= index < len(covers) or len(covers[index]) > _MOST_BYTES:
        return None
    try:
        return base64.b64decode(covers[index].rpartition(",")[2], validate=False)
    except (binascii.Error, ValueError):
        return None


def _covers(metadata: Mapping[str, str]) -> list[str]:
    try:
        found = json.loads(metadata.get(COVERS, "[]"))
    except (ValueError, RecursionError):
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
