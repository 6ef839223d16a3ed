"""Reading ONNX files with OpenCV, and the metadata that it skips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from modules.features.detail.detectors.detection import DetectorError
from modules.files.protobuf import byte_fields

_MOST_BYTES: Final = 1 << 30
_METADATA: Final = 14


def read_onnx(path: Path) -> tuple[cv2.dnn.Net, dict[str, str]]:
    """The network of a file, and its metadata.

    Raises:
        DetectorError: the file is no ONNX file, damaged, or has operators that OpenCV lacks.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise DetectorError(f"{path.name} is larger than a gigabyte: such a network is not run here.")
    content = path.read_bytes()
    try:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(content, dtype=np.uint8))
        if not net.getUnconnectedOutLayersNames():
            raise DetectorError(f"{path.name} is an ONNX file without a network in it; fetch it again.")
        return net, dict(_metadata(content))
    except (cv2.error, IndexError, UnicodeDecodeError) as error:
        raise DetectorError(
            f"{path.name} can't be read as ONNX: it is damaged, or has parts that OpenCV {cv2.__version__} lacks."
        ) from error


def _metadata(content: bytes) -> Iterator[tuple[str, str]]:
    for number, value in byte_fields(content):
        if number == _METADATA:
            entry = dict(byte_fields(value))
            yield entry.get(1, b"").decode("utf-8"), entry.get(2, b"").decode("utf-8")
