"""The notice about the demo checkpoint, and what newcomers are shown of the engine."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.families import FAMILIES
from modules.jobs.access import ANYONE
from modules.jobs.job import EngineStatus
from modules.page import system_page
from modules.page.demo import demo_notice
from modules.page.process import ServerProcess
from modules.page.routes import page_state
from modules.protocol import MachineFacts
from modules.settings import Paths, parse_flags
from modules.settings.paths import make_checkpoint_folder
from tests.page.fakes import any_visitor, open_services

FACTS = MachineFacts(
    device="cpu",
    device_name="CPU",
    unet_dtype="float32",
    vae_dtype="float32",
    text_dtype="float32",
    dtype_why="",
    attention="sdp",
    attention_why="",
    channels_last=True,
    threads=2,
)


@pytest.fixture
def services(tmp_path: Path) -> Any:
    opened = open_services(parse_flags(["--data-dir", str(tmp_path)], {}))
    yield opened
    opened.jobs.close()


def test_the_notice_names_the_folder_whole_and_the_families_that_load() -> None:
    folder = Path("/data <b>/models/Stable-Diffusion")
    notice = demo_notice(folder, folder_button=True, get_models=True)
    assert html.escape(str(folder)) in notice and str(folder) not in notice
    text = re.sub("<[^<>]*>", " ", notice)
    wanted, _, refused = text.partition("and press")
    for family in FAMILIES:
        assert family.name.split()[0].removeprefix("SD") in wanted, "each family that loads is named, by its number"
    assert "Stable Diffusion 3" in re.sub(" +", " ", refused)
    assert "demo_open" in notice and "demo_get" in notice
    without = demo_notice(folder, folder_button=False, get_models=False)
    assert "demo_open" not in without and "demo_get" not in without


def test_the_folder_is_made_under_the_name_that_is_said(tmp_path: Path) -> None:
    paths = Paths.from_flags(parse_flags(["--data-dir", str(tmp_path / "new")], {}))
    folder = make_checkpoint_folder(paths)
    assert folder.is_dir() and folder == tmp_path / "new" / "models" / "Stable-Diffusion"
    blocked = tmp_path / "file"
    blocked.write_text("")
    paths = replace(paths, checkpoint_dirs=(blocked / "models",))
    assert not make_checkpoint_folder(paths).exists(), "what can't be made is named all the same"


@pytest.mark.parametrize(("flags", "status"), [([], 200), (["--listen"], 403)])
def test_the_folder_is_opened_for_who_sits_before_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], status: int
) -> None:
    opened: list[Path] = []

    def open_folder(folder: Path) -> str:
        opened.append(folder)
        return ""

    monkeypatch.setattr(system_page, "open_folder", open_folder)
    services = open_services(parse_flags(["--data-dir", str(tmp_path), *flags], {}))
    app = FastAPI()
    app.include_router(system_page.system_routes(services, ServerProcess(), any_visitor))
    assert TestClient(app).post("/internal/actions/open-checkpoints").status_code == status
    assert opened == ([tmp_path / "models" / "Stable-Diffusion"] if status == 200 else [])
    services.jobs.close()


@pytest.mark.parametrize(
    ("hardware", "sentence"),
    [
        ("CPU in fp32, channels last", "Ready: CPU."),
        ("CPU in fp32; the card is too old for this torch", "Ready: CPU; the card is too old for this torch."),
    ],
)
def test_the_state_line_speaks_to_a_newcomer(
    services: Any, monkeypatch: pytest.MonkeyPatch, hardware: str, sentence: str
) -> None:
    ready = EngineStatus("ready", f"Ready: {hardware}.", "x", hardware, facts=FACTS)
    monkeypatch.setattr(services.jobs, "engine", lambda: ready)
    line = page_state(services, ANYONE).engine
    assert (line.sentence, line.details) == (sentence, f"Ready: {hardware}.")
    refused = replace(ready, state="problem", sentence="x is not a checkpoint.")
    monkeypatch.setattr(services.jobs, "engine", lambda: refused)
    assert page_state(services, ANYONE).engine.sentence == "x is not a checkpoint."
