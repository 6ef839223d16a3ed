"""Routes of the styles dialog: the saved styles, saving and deleting one, and its texts merged into the prompts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, Field

from modules.prompt import Style, StyleFileError, apply_styles

if TYPE_CHECKING:
    from modules.jobs.services import Services

StyleText = Annotated[str, Field(max_length=131_072)]


class StyleBody(BaseModel):
    """A style as the dialog has it."""

    name: Annotated[str, Field(max_length=1000)] = ""
    prompt: StyleText = ""
    negative_prompt: StyleText = ""


class ApplyBody(BaseModel):
    """A style's texts, and the prompts that they are merged into."""

    style: StyleBody
    prompt: Annotated[str, Field(max_length=1_000_000)]
    negative_prompt: Annotated[str, Field(max_length=1_000_000)]


def style_routes(services: Services, logged_in: Callable[[Request], None]) -> APIRouter:
    """The routes of the dialog. A refusal is one sentence."""
    router = APIRouter(prefix="/internal/styles", dependencies=[Depends(logged_in)], include_in_schema=False)

    def answer() -> dict[str, Any]:
        styles = services.styles.all()
        several = len(services.styles.files) > 1
        problem = " ".join(services.styles.problems().values())
        return {"styles": [_as_json(style, several=several) for style in styles], "problem": problem}

    @router.get("")
    def styles() -> dict[str, Any]:
        return answer()

    @router.post("")
    def save(body: StyleBody) -> dict[str, Any]:
        return _after(lambda: services.styles.save(Style(body.name.strip(), body.prompt, body.negative_prompt)))

    @router.post("/delete")
    def delete(body: StyleBody) -> dict[str, Any]:
        return _after(lambda: services.styles.delete(body.name.strip()))

    @router.post("/apply")
    def apply(body: ApplyBody) -> dict[str, str]:
        style = Style(body.style.name, body.style.prompt, body.style.negative_prompt)
        prompt, negative = apply_styles(body.prompt, body.negative_prompt, [style])
        return {"prompt": prompt, "negative_prompt": negative}

    def _after(change: Callable[[], None]) -> dict[str, Any]:
        try:
            change()
        except (StyleFileError, OSError) as error:
            raise HTTPException(422, str(error)) from error
        return answer()

    return router


def _as_json(style: Style, *, several: bool) -> dict[str, str]:
    file = style.path.name if several and style.path is not None else ""
    return {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt, "file": file}
