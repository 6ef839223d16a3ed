"""The types that the page's scripts are checked with are those of the server's answers."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from modules.api import queue
from modules.page import routes
from modules.page.page import ASSETS

DECLARED = (ASSETS / "types.d.ts").read_text("utf-8")
MODELS = [
    *(routes.BatchPlace, routes.RunningJob, routes.WaitingJob, routes.EndedJob, routes.EngineLine),
    *(routes.PageSettings, routes.PageState, queue.QueueProgress, queue.QueuePicture, queue.QueueRow, queue.Queue),
]
# How Python's types are written in TypeScript, where the answer to "may it be null?" is part of both.
SCALARS = {"str": "string", "int": "number", "float": "number", "bool": "boolean"}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_an_answer_has_the_fields_that_the_scripts_are_checked_with(model: type[BaseModel]) -> None:
    found = re.search(rf"export interface {model.__name__} {{\n(.*?)\n}}", DECLARED, re.DOTALL)
    assert found, f"types.d.ts has no {model.__name__}"
    fields = dict(line.strip().rstrip(";").split(": ", 1) for line in found[1].split("\n"))
    assert list(fields) == list(model.model_fields)
    for name, field in model.model_fields.items():
        annotation = str(getattr(field.annotation, "__name__", field.annotation))
        assert ("None" in str(field.annotation)) == ("null" in fields[name]), name
        if annotation in SCALARS and name != "mode":
            assert fields[name] in (SCALARS[annotation], f"{SCALARS[annotation]}[]"), name
