"""Model files dropped on the page: looked at before they are copied, in pieces, resumed, refused."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.page.model_upload_routes import model_upload_routes
from modules.settings import parse_flags
from tests.checkpoints import write_tiny_checkpoint
from tests.downloads import models
from tests.page.fakes import any_visitor
from tests.server.fake_engine_server import open_services

PIECE = 500_000


class Desk:
    """The routes over folders of their own, and a browser that sends pieces."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.services = open_services(parse_flags(["--data-dir", str(folder), "--no-hashing", *flags], {}))
        app = FastAPI()
        app.include_router(model_upload_routes(self.services, any_visitor))
        self.client = TestClient(app)

    def look(self, name: str, data: bytes, mark: str = "1") -> Any:
        about: dict[str, str | int] = {"name": name, "size": len(data), "mark": mark}
        length = 8 + int.from_bytes(data[:8], "little")
        return self.client.post("/internal/models/look", params=about, content=data[: min(length, 100_000)])

    def piece(self, name: str, data: bytes, offset: int, size: int = PIECE, mark: str = "1") -> Any:
        about: dict[str, str | int] = {"name": name, "size": len(data), "mark": mark, "offset": offset}
        return self.client.post("/internal/models/piece", params=about, content=data[offset : offset + size])

    def send(self, name: str, data: bytes, offset: int = 0) -> Any:
        while True:
            answer = self.piece(name, data, offset)
            if answer.status_code != 200 or answer.json()["done"]:
                return answer
            offset = answer.json()["received"]

    def files(self) -> list[str]:
        models_dir = self.folder / "models"
        names = [str(path.relative_to(models_dir)) for path in models_dir.rglob("*") if path.is_file()]
        return sorted(name for name in names if "demo-emoji" not in name and "other" not in name)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.services.close()


def test_each_kind_is_known_before_it_is_copied_and_goes_into_its_folder(desk: Desk, tmp_path: Path) -> None:
    checkpoint = write_tiny_checkpoint(tmp_path / "c" / "c.safetensors").read_bytes()
    lora = models.lora()
    looked = desk.look("mine.safetensors", checkpoint).json()
    assert (looked["kind"], looked["family"], looked["received"]) == ("checkpoint", "Stable Diffusion 1", 0)
    assert looked["folder"] == str(desk.services.paths.checkpoint_dirs[0])
    assert desk.files() == []
    assert desk.send("mine.safetensors", checkpoint).json()["kind"] == "checkpoint"
    assert desk.send("new one.safetensors", lora).json()["kind"] == "lora"
    assert desk.files() == ["Lora/new one.safetensors", "Stable-diffusion/mine.safetensors"]
    assert (desk.services.paths.checkpoint_dirs[0] / "mine.safetensors").read_bytes() == checkpoint
    assert "mine.safetensors" in [one.path.name for one in desk.services.catalogue.checkpoints()]
    for answer in (desk.look("new one.safetensors", lora), desk.send("new one.safetensors", lora)):
        assert answer.status_code == 422 and "a file of that name is in" in answer.json()["detail"]
    assert desk.files() == ["Lora/new one.safetensors", "Stable-diffusion/mine.safetensors"]


def test_a_drop_that_broke_off_goes_on_with_the_next(desk: Desk) -> None:
    data = models.lora()
    assert desk.piece("a.safetensors", data, 0).json() == {"received": PIECE, "kind": "", "done": False}
    # Pieces that come twice, too early, or beyond the end change nothing.
    for offset in (0, 2 * PIECE):
        assert desk.piece("a.safetensors", data, offset).json()["received"] == PIECE
    assert desk.piece("a.safetensors", data + b"x" * 9, PIECE, 2 * len(data)).json()["received"] == 0, "another file"
    looked = desk.look("a.safetensors", data).json()
    assert looked["received"] == PIECE
    assert desk.look("a.safetensors", data, mark="2").json()["received"] == 0, "another file of that name"
    assert desk.send("a.safetensors", data, looked["received"]).json()["done"]
    assert (desk.folder / "models" / "Lora" / "a.safetensors").read_bytes() == data


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("../evil.exe", models.lora(), "is no model file"),
        ("sd3.safetensors", models.stable_diffusion_3(), "is a Stable Diffusion 3 model, which can't run here"),
        ("noise.safetensors", b"\xff" * 4000, "is not a safetensors file"),
        ("cut.safetensors", models.lora()[:-9], "is truncated"),
        ("harm.ckpt", models.harmful_pickle(), "harm.ckpt"),
    ],
    ids=["name", "sd3", "noise", "cut", "pickle"],
)
def test_what_is_no_good_is_refused_and_leaves_nothing(desk: Desk, name: str, data: bytes, sentence: str) -> None:
    answer = desk.send(name, data)
    assert answer.status_code == 422 and sentence in answer.json()["detail"], answer.text
    assert answer.json()["detail"].endswith(".") and ".part" not in answer.json()["detail"]
    assert desk.files() == []


def test_a_name_stays_in_its_folder(desk: Desk) -> None:
    assert desk.send("../../evil.safetensors", models.lora()).json()["done"]
    assert desk.files() == ["Lora/_._.._evil.safetensors"]


def test_what_was_begun_goes_after_a_week(desk: Desk) -> None:
    data = models.lora()
    desk.piece("a.safetensors", data, 0)
    desk.services.uploads.clean()
    (name,) = desk.files()
    week = time.time() - 8 * 24 * 3600
    os.utime(desk.folder / "models" / name, (week, week))
    desk.services.uploads.clean()
    assert desk.files() == []


def test_a_full_disk_is_one_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    answer = desk.look("a.safetensors", models.lora())
    assert answer.status_code == 422 and "free some space" in answer.json()["detail"]


def test_an_open_server_without_logins_takes_no_models(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "--listen")
    assert desk.look("a.safetensors", models.lora()).status_code == 403
    assert desk.piece("a.safetensors", models.lora(), 0).status_code == 403
    desk.services.close()
