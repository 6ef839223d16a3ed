"""The Settings tab's System and Actions pages: how program and machine are, and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request

from modules.api.internal import system_report
from modules.jobs.job import JobError
from modules.page.language_texts import page_texts
from modules.page.open_folder import folder_button, open_folder
from modules.page.process import ServerProcess
from modules.parameters import RequestError
from modules.settings import declared_flags
from modules.settings.paths import make_checkpoint_folder

if TYPE_CHECKING:
    from modules.jobs.services import Services
    from modules.protocol import CachedModel, MachineFacts

GIGABYTE: Final = 1e9
_ENGINE_NOTE: Final = "What the engine printed last; all of it is in log/engine.log."
_SERVER_NOTE: Final = "What the server logged last."


def system_routes(services: Services, process: ServerProcess, logged_in: Callable[[Request], None]) -> APIRouter:
    """What the two pages ask for."""
    router = APIRouter(prefix="/internal", dependencies=[Depends(logged_in)], include_in_schema=False)

    @router.get("/system")
    def system() -> dict[str, Any]:
        sections = [{"title": title, "facts": facts} for title, facts in _sections(services, process)]
        logs = [
            {"title": "Server log", "note": _SERVER_NOTE, "lines": process.log.tail()},
            {"title": "Engine log", "note": _ENGINE_NOTE, "lines": services.engine_log.tail()},
        ]
        return {"sections": sections, "notices": services.notices, "logs": logs}

    @router.get("/system-report")
    def report() -> dict[str, Any]:
        return system_report(services)

    @router.get("/localization-texts")
    def texts() -> list[str]:
        return page_texts()

    @router.post("/actions/{action}", status_code=200)
    def act(action: str) -> dict[str, str]:
        try:
            _act(services, action)
        except (RequestError, JobError) as error:
            raise HTTPException(422, str(error)) from error
        return {}

    return router


def _act(services: Services, action: str) -> None:
    match action:
        case "unload":
            services.jobs.unload_checkpoint()
        case "load":
            services.jobs.load_checkpoint(None)
        case "open-checkpoints":
            _open_checkpoints(services)
        case "refresh":
            services.refresh_models()
        case "hash":
            if services.flags.no_hashing:
                raise RequestError("Hashes aren't calculated: the server was started with --no-hashing.")
            services.hashing.wake()
        case _:
            raise HTTPException(404, f"There is no action {action!r}.")


def _open_checkpoints(services: Services) -> None:
    if not folder_button(services.flags):
        raise HTTPException(403, "A folder opens on the server's screen, which is for who sits before it.")
    if refusal := open_folder(make_checkpoint_folder(services.paths)):
        raise HTTPException(422, refusal)


def _sections(services: Services, process: ServerProcess) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    report, engine = system_report(services), services.jobs.engine()
    yield "Engine", [("State", engine.sentence), ("Checkpoint", engine.checkpoint_title or "none is loaded")]
    if engine.facts is not None:
        yield "What was chosen, and why", list(_choices(engine.facts))
    memory, processor = report["RAM"], report["CPU"]
    used = f"{memory['used'] / GIGABYTE:.1f} of {memory['total'] / GIGABYTE:.1f} GB in use"
    cores = f"{processor['count physical']} cores, {processor['count logical']} threads"
    yield (
        "Machine",
        [
            ("System", report["Platform"]),
            ("Processor", f"{processor['model'] or 'unknown'}, {cores}"),
            ("Memory", used),
        ],
    )
    packages = [(name, version or "not installed") for name, version in report["Packages"].items()]
    yield "Versions", [("This program", report["Version"]), ("Python", report["Python"]), *packages]
    flags = [flag.name for flag in declared_flags() if getattr(services.flags, flag.key) != flag.default]
    yield (
        "Folders and flags",
        [("Data folder", str(services.paths.data_dir)), ("Flags that are set", ", ".join(flags) or "none")],
    )
    steps = [(name, f"{seconds:.2f} s") for name, seconds in process.profile.records.items()]
    yield "Start of the server", [*steps, ("Altogether", f"{process.profile.total:.2f} s")]


def _choices(facts: MachineFacts) -> Iterator[tuple[str, str]]:
    same = facts.device_name.lower() == facts.device
    yield "Device", facts.device_name if same else f"{facts.device_name} ({facts.device})"
    if facts.free_memory is not None and facts.total_memory:
        free, total = facts.free_memory / GIGABYTE, facts.total_memory / GIGABYTE
        yield "Its memory", f"{free:.1f} of {total:.1f} GB free"
    if facts.memory_mode is not None:
        yield "Memory mode", _reasoned(facts.memory_mode, facts.memory_why)
        yield "Weights", f"{facts.weights / GIGABYTE:.2f} GB"
    if facts.cached:
        yield "Kept in memory", "; ".join(map(_cached, facts.cached))
    kinds = f"UNet {facts.unet_dtype}, VAE {facts.vae_dtype}, text encoder {facts.text_dtype}"
    yield "Precision", _reasoned(kinds, facts.dtype_why)
    yield "Attention", _reasoned(facts.attention, facts.attention_why)
    if facts.fast_mode:
        yield "Fast mode", facts.fast_mode
    layout = "channels last" if facts.channels_last else "channels first"
    yield "Threads and layout", f"{facts.threads} threads, {layout}"


def _cached(one: CachedModel) -> str:
    what = f"{one.part} " if one.part != "checkpoint" else ""
    place = "on the card" if one.on_device else "in main memory"
    return f"{what}{one.name} ({one.size / GIGABYTE:.2f} GB {place})"


def _reasoned(choice: str, why: str) -> str:
    return f"{choice}: {why}" if why else choice
