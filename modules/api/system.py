"""The machine over the API: memory, the loaded checkpoint, and stopping the server."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

import psutil
from fastapi import APIRouter, HTTPException

from modules.api.http_errors import ApiRoute

if TYPE_CHECKING:
    from modules.jobs.services import Services

_NOT_TRAINED_HERE: Final = "Training is not part of this program."
_TRAINING: Final = ("create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork")
# Long enough for the answer to leave before the server does.
_STOP_SECONDS: Final = 0.5


def system_routes(services: Services) -> APIRouter:
    """Memory, loading and unloading, and, with --api-server-stop, the end of the server."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["system"])

    @router.get("/memory")
    def memory() -> dict[str, Any]:
        ram = psutil.virtual_memory()
        device = {"error": "The device's memory is owned by the engine process; see the System page."}
        return {"ram": {"free": ram.available, "used": ram.used, "total": ram.total}, "cuda": device}

    @router.post("/unload-checkpoint")
    def unload_checkpoint() -> dict[str, Any]:
        services.jobs.unload_checkpoint()
        return {}

    @router.post("/reload-checkpoint")
    def reload_checkpoint() -> dict[str, Any]:
        services.jobs.load_checkpoint(None)
        return {}

    for name in _TRAINING:
        router.add_api_route(f"/{name}", _refuse_training, methods=["POST"], name=name)
    if services.flags.api_server_stop:
        _stopping(router)
    return router


def _refuse_training() -> None:
    raise HTTPException(404, _NOT_TRAINED_HERE)


def _stopping(router: APIRouter) -> None:
    @router.post("/server-stop")
    @router.post("/server-kill")
    def server_stop() -> str:
        threading.Timer(_STOP_SECONDS, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return "Stopping."

    @router.post("/server-restart")
    def server_restart() -> None:
        raise HTTPException(501, "This server can't restart itself: stop it and start it again.")
