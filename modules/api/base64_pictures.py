"""Pictures as clients send and get them: base64, with or without a data-URI head."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable
from typing import Final

from PIL import Image

from modules.api.fetch import Fetcher, FetchSome
from modules.parameters import RequestError
from modules.settings import OptionStore

MAXIMUM_PIXELS: Final = 64_000_000
_NOT_FETCHED: Final = (
    "this server fetches none unless its setting api_enable_requests is on; send the picture itself in base64."
)
_DATA_URI: Final = re.compile(r"data:[\w.+/-]*(;[\w=.+-]+)*,")


Fetch = Callable[[str, str], bytes]


def fetcher(options: OptionStore) -> Fetch | None:
    """What fetches the pictures of one request that are named by an address, or None when that is not allowed."""
    if not options.switch("api_enable_requests"):
        return None
    local = not options.switch("api_forbid_local_requests")
    return FetchSome(Fetcher(allow_local=local, user_agent=options.text("api_useragent")))


def picture_bytes(text: str, what: str, fetch: Fetch | None = None) -> bytes:
    """The bytes behind base64 `text`, checked to be a picture of a bearable size. Raises RequestError naming `what`.

    An http(s) address is fetched with `fetch`, and refused without one.
    """
    if text.startswith(("http://", "https://")):
        if fetch is None:
            raise RequestError(f"{what} is an address: {_NOT_FETCHED}")
        data = fetch(text, what)
    else:
        data = _decoded(text, what)
    check_picture(data, what)
    return data


def _decoded(text: str, what: str) -> bytes:
    head = _DATA_URI.match(text)
    try:
        return base64.b64decode(text[head.end() :] if head else text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{what} is not valid base64.") from error


def check_picture(data: bytes, what: str) -> None:
    """Refuse what is no picture, or too large to decode, by its header alone. Raises RequestError naming `what`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError as error:
        raise RequestError(_too_large(what)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise RequestError(f"{what} is no picture that can be read.") from error
    if pixels > MAXIMUM_PIXELS:
        raise RequestError(_too_large(what))


def _too_large(what: str) -> str:
    return f"{what} is too large: at most {MAXIMUM_PIXELS // 10**6} megapixels are taken."


def open_picture(data: bytes, what: str) -> Image.Image:
    """Decode `data`. Raises RequestError naming `what` when it is cut short or broken."""
    check_picture(data, what)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise RequestError(f"{what} is damaged: {error}.") from error
    return image


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
