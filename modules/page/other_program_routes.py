"""Routes with which the person at this machine names installations of other programs, whose models are used there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from modules.settings.other_programs import (
    OtherProgram,
    OtherProgramError,
    other_program,
    programs_nearby,
    remember_programs,
    remembered_programs,
)

if TYPE_CHECKING:
    from modules.jobs.services import Services


class NamedFolder(BaseModel):
    """An installation by its whole path."""

    folder: Annotated[str, Field(max_length=4096)]


class ProgramRow(BaseModel):
    """An installation: the kinds of models that it has folders for, and why it can't be used, if so.

    `active` says that this server has read it; a folder that was just named is read at the next start.
    """

    folder: str
    kinds: list[str]
    cause: str = ""
    active: bool = False
    by_flag: bool = False


class ProgramList(BaseModel):
    """Those that are used, and those that lie nearby."""

    used: list[ProgramRow]
    nearby: list[ProgramRow]


def other_program_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes under /internal/other-programs. A refusal is one sentence."""
    router = APIRouter(prefix="/internal/other-programs", dependencies=[Depends(logged_in)], include_in_schema=False)
    data_dir = services.paths.data_dir
    active = set(services.flags.other_models)
    by_flag = active - set(remembered_programs(data_dir))

    def alone() -> None:
        if not services.flags.alone:
            raise HTTPException(403, "Folders are named by the person at this machine only.")

    def row(folder: str) -> ProgramRow:
        known = {"folder": folder, "active": folder in active, "by_flag": folder in by_flag}
        try:
            return ProgramRow(**known, kinds=_kinds(other_program(Path(folder))))
        except OtherProgramError as error:
            return ProgramRow(**known, kinds=[], cause=str(error))

    def listed() -> ProgramList:
        used = list(dict.fromkeys([*sorted(by_flag), *remembered_programs(data_dir)]))
        places = [services.paths.root.parent, data_dir.parent, Path.home()]
        nearby = programs_nearby(places, [*map(Path, used), services.paths.root, data_dir])
        rows = [ProgramRow(folder=str(one.folder), kinds=_kinds(one)) for one in nearby]
        return ProgramList(used=[row(folder) for folder in used], nearby=rows)

    @router.get("")
    def programs() -> ProgramList:
        alone()
        return listed()

    @router.post("")
    def use(named: NamedFolder) -> ProgramList:
        alone()
        try:
            folder = other_program(Path(named.folder.strip())).folder
            if folder.resolve() in {
                one.resolve() for one in (data_dir, services.paths.root, services.paths.models_dir)
            }:
                raise OtherProgramError(f"{folder} is this program's own folder, whose models are used anyway.")
            remember_programs(data_dir, [*remembered_programs(data_dir), str(folder)])
        except OtherProgramError as error:
            raise HTTPException(422, str(error)) from error
        return listed()

    @router.delete("")
    def forget(named: NamedFolder) -> ProgramList:
        alone()
        try:
            remember_programs(data_dir, [one for one in remembered_programs(data_dir) if one != named.folder])
        except OtherProgramError as error:
            raise HTTPException(422, str(error)) from error
        return listed()

    return router


def _kinds(program: OtherProgram) -> list[str]:
    return sorted(kind.replace("_", " ") for kind in program.models)
