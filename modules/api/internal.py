"""What A1111's own page requests beside progress: a system report, and hints for settings."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
from fastapi import APIRouter, Response

from modules.api.http_errors import ApiRoute
from modules.settings.start_profile import StartProfile
from modules.version import VERSION

if TYPE_CHECKING:
    from modules.jobs.services import Services

_PACKAGES: Final = ("torch", "diffusers", "transformers", "safetensors", "gradio", "fastapi", "pydantic", "pillow")


def internal_routes(services: Services, profile: StartProfile) -> APIRouter:
    """The system report and the page's hints. They are built from public values alone, so no secret can be in them."""
    router = APIRouter(prefix="/internal", route_class=ApiRoute, tags=["internal"])

    @router.get("/quicksettings-hint")
    def quicksettings_hint() -> list[dict[str, str]]:
        return [{"name": key, "label": option.label} for key, option in services.options.options.items()]

    @router.get("/profile-startup")
    def profile_startup() -> dict[str, Any]:
        """Seconds of each step of the start."""
        return {"total": profile.total, "records": profile.records}

    @router.get("/sysinfo")
    def sysinfo() -> Response:
        return Response(json.dumps(system_report(services), indent=4, ensure_ascii=False), media_type="text/plain")

    @router.get("/sysinfo-download")
    def sysinfo_download() -> Response:
        answer = sysinfo()
        answer.headers["Content-Disposition"] = 'attachment; filename="sysinfo.json"'
        return answer

    return router


def gradio_routes(services: Services) -> APIRouter:
    """What Gradio 3 answers under A1111's page by itself, and where programs look whether a server is there."""
    router = APIRouter(route_class=ApiRoute, tags=["internal"])

    @router.get("/queue/status")
    def queue_status() -> dict[str, Any]:
        """How many jobs wait. Times are not estimated."""
        times = dict.fromkeys(("avg_event_process_time", "avg_event_concurrent_process_time", "rank_eta"))
        return {
            "msg": "estimation",
            "rank": None,
            "queue_size": services.jobs.count("waiting"),
            **times,
            "queue_eta": 0,
        }

    return router


def system_report(services: Services) -> dict[str, Any]:
    """What a bug report needs. Of the environment nothing, of the flags what is public, of the settings the changed."""
    engine, ram = services.jobs.engine(), psutil.virtual_memory()
    options = services.options
    return {
        "Platform": platform.platform(),
        "Python": sys.version.split()[0],
        "Version": VERSION,
        "Flags": services.flags.public(),
        "Engine": {"state": engine.state, "sentence": engine.sentence, "hardware": engine.hardware},
        "CPU": {"model": _processor(), "count logical": psutil.cpu_count(), "count physical": _cores()},
        "RAM": {"total": ram.total, "used": ram.used, "free": ram.available},
        "Packages": {name: _version(name) for name in _PACKAGES},
        "Changed settings": {key: options.as_dict()[key] for key in options.changed_from_default()},
    }


def _processor() -> str:
    """The processor's name; Python itself knows it on Windows and macOS only."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor()
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.processor())


def _cores() -> int | None:
    count: int | None = psutil.cpu_count(logical=False)
    return count


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
