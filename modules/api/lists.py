"""What there is to choose from: samplers, models, upscalers and so on, in the shapes of A1111's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter

from modules.api.http_errors import ApiRoute
from modules.api.scripts import script_items, script_names
from modules.catalogue import ModelFile, fits_encoders
from modules.catalogue.card_facts import expanded
from modules.catalogue.entries import EmbeddingFile
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.catalogue.upscalers import REAL_ESRGAN
from modules.parameters.samplers import SAMPLERS
from modules.parameters.schedules import SCHEDULES
from modules.parameters.upscalers import LATENT_UPSCALE_MODES

if TYPE_CHECKING:
    from modules.jobs.services import Services

ListEntry = dict[str, Any]
# Lists of what is not there yet: clients ask for them and take an empty answer well.
_EMPTY: Final = ("extensions",)


def list_routes(services: Services) -> APIRouter:
    """The lists, and the calls that look at the folders again."""
    router = APIRouter(prefix="/sdapi/v1", route_class=ApiRoute, tags=["lists"])
    _sampling_lists(router)
    _upscaling_lists(router, services)
    _model_lists(router, services)

    @router.get("/prompt-styles")
    def prompt_styles() -> list[ListEntry]:
        return [
            {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
            for style in services.styles.all()
        ]

    @router.get("/scripts")
    def scripts() -> dict[str, list[str]]:
        return script_names(services)

    @router.get("/script-info")
    def script_info() -> list[ListEntry]:
        return script_items(services)

    for name in _EMPTY:
        router.add_api_route(f"/{name}", _nothing, methods=["GET"], name=name)
    for name in ("checkpoints", "vae", "loras", "embeddings"):
        router.add_api_route(f"/refresh-{name}", services.refresh_models, methods=["POST"], name=f"refresh {name}")
    return router


def _nothing() -> list[ListEntry]:
    """There is none of these yet."""
    return []


def _sampling_lists(router: APIRouter) -> None:
    @router.get("/samplers")
    def samplers() -> list[ListEntry]:
        return [sampler.api_item() for sampler in SAMPLERS]

    @router.get("/schedulers")
    def schedulers() -> list[ListEntry]:
        return [schedule.api_item() for schedule in SCHEDULES]

    @router.get("/latent-upscale-modes")
    def latent_upscale_modes() -> list[ListEntry]:
        return [{"name": name} for name in LATENT_UPSCALE_MODES]


def _upscaling_lists(router: APIRouter, services: Services) -> None:
    @router.get("/upscalers")
    def upscalers() -> list[ListEntry]:
        return [
            {
                "name": one.name,
                "model_name": one.model_name,
                "model_path": None if one.path is None else str(one.path),
                "model_url": None,
                "scale": one.scale,
            }
            for one in services.upscalers()
        ]

    @router.get("/realesrgan-models")
    def realesrgan_models() -> list[ListEntry]:
        known = set(REAL_ESRGAN.values())
        return [
            {"name": one.name, "path": str(one.path), "scale": one.scale}
            for one in services.upscalers()
            if one.name in known
        ]

    @router.get("/face-restorers")
    def face_restorers() -> list[ListEntry]:
        found = services.catalogue.restorers()
        return [{"name": name, "cmd_dir": str(path.parent)} for name, path in found.items()]


def _model_lists(router: APIRouter, services: Services) -> None:
    catalogue = services.catalogue

    @router.get("/sd-models")
    def sd_models() -> list[ListEntry]:
        return [
            {
                "title": entry.title,
                "model_name": entry.model_name,
                "hash": entry.short_hash,
                "sha256": entry.sha256,
                "filename": str(entry.path),
                "config": None,
            }
            for entry in catalogue.checkpoints()
        ]

    @router.get("/sd-vae")
    def sd_vae() -> list[ListEntry]:
        return [{"model_name": entry.name, "filename": str(entry.path)} for entry in catalogue.vaes()]

    @router.get("/loras")
    def loras() -> list[ListEntry]:
        return [lora_entry(entry) for entry in catalogue.networks("lora").files]

    @router.get("/hypernetworks")
    def hypernetworks() -> list[ListEntry]:
        return [{"name": entry.stem, "path": str(entry.path)} for entry in catalogue.networks("hypernet").files]

    @router.get("/embeddings")
    def embeddings() -> dict[str, dict[str, ListEntry]]:
        checkpoint = services.current_checkpoint()
        architecture = None if checkpoint is None else catalogue.architecture(checkpoint)
        lists: dict[str, dict[str, ListEntry]] = {"loaded": {}, "skipped": {}}
        for entry in catalogue.embeddings():
            # As in A1111 one that can't be read is in neither list.
            if entry.shapes is not None:
                fits = fits_encoders(entry.shapes, architecture)
                lists["loaded" if fits else "skipped"][entry.prompt_name] = _embedding(entry, entry.shapes)
        return lists


def _embedding(entry: EmbeddingFile, shapes: Mapping[str, tuple[int, ...]]) -> ListEntry:
    """As A1111 lists it; of several text encoders the widths are added up, as they are in the conditioning."""
    sizes: list[tuple[int, ...]] = list(shapes.values()) or [()]
    vectors = sizes[0][0] if len(sizes[0]) == 2 else int(bool(shapes))
    return asdict(entry.training) | {"shape": sum(size[-1] for size in sizes if size), "vectors": vectors}


def lora_entry(entry: ModelFile) -> ListEntry:
    """As A1111 lists a LoRA, with what its file says of itself."""
    try:
        metadata = read_safetensors_metadata(entry.path)
    except (ModelFileError, OSError):
        metadata = {}
    alias = metadata.get("ss_output_name") or entry.stem
    return {"name": entry.stem, "alias": alias, "path": str(entry.path), "metadata": expanded(metadata)}
