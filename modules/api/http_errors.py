"""Errors in A1111's shape: `{"error", "detail", "body", "errors"}`, which its clients read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from modules.catalogue import ModelNotFoundError
from modules.downloads import DownloadError
from modules.gallery.index.errors import GalleryError, IndexFileError, UnknownEntry, UnknownPicture
from modules.jobs.job import JobError, QueueFileError, QueueFull, UnknownJob
from modules.parameters import RequestError
from modules.settings import OptionError

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (UnknownJob, 404),
    (QueueFull, 503),
    (QueueFileError, 503),
    (ModelNotFoundError, 404),
    (RequestError, 422),
    (OptionError, 422),
    (JobError, 409),
    (UnknownPicture, 404),
    (UnknownEntry, 404),
    (IndexFileError, 503),
    (GalleryError, 409),
    (DownloadError, 422),
)
# Halves of a pair as JSON writes them; together they are a character, alone they are none.
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class GenerationFailed(RuntimeError):
    """A job was accepted and then failed. The message is its cause."""


def error_answer(error: Exception, status: int) -> JSONResponse:
    """`error` as A1111 writes it; a sentence of ours stands in `detail` too, where most clients look."""
    detail = getattr(error, "detail", None) or str(error)
    body = {"error": type(error).__name__, "detail": detail, "body": "", "errors": str(error)}
    return JSONResponse(body, status, headers=getattr(error, "headers", None))


async def unforeseen(request: Request, error: Exception) -> Response:
    """The answer to what nobody foresaw, in A1111's shape; Starlette raises the error to the log all the same."""
    return error_answer(error, 500)


def _validation_answer(error: RequestValidationError) -> JSONResponse:
    """FastAPI's own form, without the values: they may be as large as the body, or NaN, which JSON cannot say."""
    return JSONResponse({"detail": [{key: one[key] for key in ("loc", "msg", "type")} for one in error.errors()]}, 422)


class SoundRequest(Request):
    """A request whose JSON can be written down again: Python reads NaN and half characters, and JSON has neither."""

    async def json(self) -> object:
        """The body read. Raises HTTPException for what no file, database or answer could hold later on."""
        body = await self.body()
        value = json.loads(body, parse_constant=partial(_refuse_constant, body))
        if _SURROGATE.search(body):
            try:
                json.dumps(value, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise HTTPException(422, "The body holds half of a surrogate pair, which is no character.") from error
        return value


def _refuse_constant(body: bytes, name: str) -> None:
    field = re.search(rb'"(\w+)"\s*:\s*' + name.encode(), body)
    where = f"{field[1].decode()} is" if field else "The body holds"
    raise HTTPException(422, f"{where} {name}, which is no number in JSON.")


class ApiRoute(APIRoute):
    """A route whose refusals have A1111's shape. What nobody foresaw is still a 500, raised to the log."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(SoundRequest(request.scope, request.receive))
            except RequestValidationError as error:
                return _validation_answer(error)
            except HTTPException as error:
                return error_answer(error, error.status_code)
            except GenerationFailed as error:
                return error_answer(error, 500)
            except tuple(kind for kind, _ in _STATUS) as error:
                return error_answer(error, next(status for kind, status in _STATUS if isinstance(error, kind)))

        return answer
