"""What A1111's own page asks for beside progress: a system report, hints for settings, and the models' pictures."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import psutil
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import FileResponse

from modules.api.http_errors import ApiRoute
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.names import is_one_of
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.settings.start_profile import StartProfile
from modules.version import VERSION

if TYPE_CHECKING:
    from modules.catalogue import ModelFile
    from modules.jobs.services import Services

_PACKAGES: Final = ("torch", "diffusers", "transformers", "safetensors", "gradio", "fastapi", "pydantic", "pillow")
_PREVIEWS: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".avif"})
ShortText = Annotated[str, Query(max_length=1000)]


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


def extra_network_routes(services: Services) -> APIRouter:
    """Pictures and metadata of models. A request names a model or a picture beside one, never a place on the disk."""
    router = APIRouter(prefix="/sd_extra_networks", route_class=ApiRoute, tags=["internal"])

    @router.get("/thumb")
    def thumb(filename: ShortText = "") -> FileResponse:
        picture = Path(filename)
        if picture.suffix.lower() not in _PREVIEWS or not _beside_a_model(services, picture):
            raise HTTPException(404, "There is no such picture beside a model.")
        return FileResponse(picture)

    @router.get("/cover-images")
    def cover_images(page: ShortText = "", item: ShortText = "", index: int = 0) -> Response:
        """Pictures inside model files; none are read from there yet."""
        raise HTTPException(404, "There is no picture inside this model file.")

    @router.get("/metadata")
    def model_metadata(page: ShortText = "", item: ShortText = "") -> dict[str, str]:
        model = next((one for one in _models(services).get(page.lower(), ()) if is_one_of(item, (one.stem,))), None)
        if model is None or model.path.suffix != ".safetensors":
            return {}
        try:
            return {"metadata": json.dumps(read_safetensors_metadata(model.path), indent=4, ensure_ascii=False)}
        except (ModelFileError, OSError):
            return {}

    @router.get("/get-single-card")
    def single_card(page: ShortText = "", tabname: ShortText = "", name: ShortText = "") -> dict[str, str]:
        """A1111's card is a piece of its page; there is none to put it into."""
        return {"html": ""}

    return router


def _models(services: Services) -> dict[str, tuple[ModelFile, ...]]:
    catalogue = services.catalogue
    return {
        "lora": catalogue.loras(),
        "checkpoints": catalogue.checkpoints(),
        "textual inversion": catalogue.embeddings(),
        "hypernetworks": catalogue.hypernetworks(),
    }


def _beside_a_model(services: Services, picture: Path) -> bool:
    """Whether a listed model has this very picture: its own name, or that with `.preview`, and a picture's suffix."""
    own = {
        str(model.path.with_suffix("")) + between
        for models in _models(services).values()
        for model in models
        for between in ("", ".preview")
    }
    return str(picture.with_suffix("")) in own and picture.is_file() and not picture.is_symlink()
