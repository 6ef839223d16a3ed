"""Model files made without torch, as the catalogue reads them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

TENSOR = {"x": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}


def write_header(path: Path, document: object, data: bytes = b"\0" * 12, *, padding: int = 0) -> Path:
    """A safetensors file with any JSON in its header."""
    raw = json.dumps(document).encode() + b" " * padding
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    return path


def write_model(path: Path, metadata: Mapping[str, str] | None = None, content: bytes = b"\0" * 12) -> Path:
    """A small safetensors file; other `content` gives another hash."""
    document = {"__metadata__": dict(metadata or {}), **TENSOR}
    return write_header(path, document, content)
