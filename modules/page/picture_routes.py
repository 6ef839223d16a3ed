"""How pictures come to the server and back to the page's canvases: as the bytes they are."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from modules.files import SaveError
from modules.page.uploads import Upload, UploadStore
from modules.pictures import PictureError, read_metadata
from modules.pictures.opening import MOST_PIXELS, open_picture, read_header

# A picture of 64 megapixels with 8 bits a channel fits however badly it compresses.
LARGEST_PICTURE: Final = 4 * MOST_PIXELS
_SHOWN: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_PLAIN_MODES: Final = frozenset({"RGB", "RGBA", "L", "LA", "P", "1"})
_ORIENTATION: Final = 0x0112
_HEADERS: Final = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def create_picture_router(uploads: UploadStore, logged_in: Callable[[Request], None]) -> APIRouter:
    """Put a picture among the uploads, and show one."""
    router = APIRouter(prefix="/internal/pictures", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.post("")
    async def put(request: Request, any_size: bool = False) -> Response:
        data = await _body(request)
        if data is None:
            return _refused(f"The file is larger than {LARGEST_PICTURE // 2**20} MiB: make the picture smaller first.")
        return await run_sync(_put, uploads, data, any_size)

    @router.get("/{digest}/infotext")
    def infotext(digest: str) -> dict[str, str]:
        try:
            return {"infotext": read_metadata(uploads.path(digest)).infotext}
        except PictureError as error:
            raise HTTPException(404, str(error)) from error

    @router.get("/{digest}")
    def show(digest: str) -> Response:
        try:
            return _shown(uploads, digest)
        except PictureError as error:
            raise HTTPException(404, str(error)) from error

    return router


async def _body(request: Request) -> bytes | None:
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST_PICTURE:
            return None
    return bytes(parts)


def _put(uploads: UploadStore, data: bytes, any_size: bool) -> Response:
    try:
        upload = uploads.put(data, any_size=any_size)
    except (PictureError, SaveError) as error:
        return _refused(str(error))
    return JSONResponse(as_json(upload))


def as_json(upload: Upload) -> dict[str, object]:
    """A stored picture as the page's scripts know it."""
    return {"id": upload.id, "width": upload.width, "height": upload.height, "notice": upload.notice}


def _refused(sentence: str) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status_code=422)


def _shown(uploads: UploadStore, digest: str) -> Response:
    """The file itself where every browser draws it as we read it, else the picture as we read it, as a PNG."""
    path = uploads.path(digest)
    with read_header(path) as image:
        form, plain = image.format or "", image.mode in _PLAIN_MODES
        upright = image.getexif().get(_ORIENTATION, 1) == 1
        moving = getattr(image, "n_frames", 1) > 1
    if form in _SHOWN and plain and upright and not moving:
        return FileResponse(path, media_type=_SHOWN[form], headers=_HEADERS)
    buffer = io.BytesIO()
    open_picture(uploads.get(digest), "The picture").save(buffer, "PNG", compress_level=1)
    return Response(buffer.getvalue(), media_type="image/png", headers=_HEADERS)
