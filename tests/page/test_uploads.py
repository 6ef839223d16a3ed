"""Pictures sent to the server: which sizes are taken for what."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from modules.page.picture_routes import create_picture_router
from modules.page.uploads import UploadStore

INFOTEXT = b"a fox\nSteps: 20, Sampler: Euler a, CFG scale: 7"


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _anybody(request: Request) -> None:
    pass


def test_a_picture_whose_texts_are_wanted_may_have_any_size(tmp_path: Path) -> None:
    app = FastAPI()
    app.include_router(create_picture_router(UploadStore(tmp_path), _anybody))
    client = TestClient(app)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8192, 8192, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"tEXt", b"parameters\0" + INFOTEXT) + chunk(b"IDAT", b"")
    refused = client.post("/internal/pictures", content=data)
    assert refused.status_code == 422 and "megapixels" in refused.json()["detail"]
    taken = client.post("/internal/pictures?any_size=true", content=data)
    assert taken.status_code == 200, taken.text
    read = client.get(f"/internal/pictures/{taken.json()['id']}/infotext")
    assert read.json()["infotext"] == INFOTEXT.decode()
