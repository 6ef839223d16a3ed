"""Pictures as clients send and get them: base64, with or without a data-URI head."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from modules.api.fetch import Fetcher, FetchSome
from modules.parameters import RequestError
from modules.pictures import PictureError
from modules.pictures.opening import MOST_PIXELS, picture_size
from modules.settings import OptionStore

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


def picture_bytes(text: str, what: str, fetch: Fetch | None = None, *, most_pixels: int | None = MOST_PIXELS) -> bytes:
    """The bytes behind base64 `text`, whose header is that of a picture that can be opened.

    Raises RequestError naming `what` for what is no base64, no picture, of another format or of more than
    `most_pixels`, which is None where nobody is going to decode them.

    An http(s) address is fetched with `fetch`, and refused without one.
    """
    if text.startswith(("http://", "https://")):
        if fetch is None:
            raise RequestError(f"{what} is an address: {_NOT_FETCHED}")
        data = fetch(text, what)
    else:
        data = _decoded(text, what)
    try:
        picture_size(data, what, most_pixels=most_pixels)
    except PictureError as error:
        raise RequestError(str(error)) from error
    return data


def _decoded(text: str, what: str) -> bytes:
    head = _DATA_URI.match(text)
    try:
        return base64.b64decode(text[head.end() :] if head else text, validate=False)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{what} is not valid base64.") from error


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
