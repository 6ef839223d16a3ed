"""Models of another program: named on the page, listed and used at the next start, never written to."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.page.card_routes import card_routes
from modules.page.other_program_routes import other_program_routes
from modules.settings import parse_flags
from tests.catalogue.files import write_model
from tests.page.fakes import any_visitor
from tests.server.fake_engine_server import open_services

PATH = "/internal/other-programs"


def test_a_program_is_named_used_and_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    comfy = tmp_path / "ComfyUI"
    write_model(comfy / "models" / "loras" / "ink.safetensors")
    for start in range(2):
        services = open_services(parse_flags(["--data-dir", str(tmp_path / "data"), "--no-hashing"], {}))
        app = FastAPI()
        app.include_router(other_program_routes(services, any_visitor))
        app.include_router(card_routes(services, any_visitor))
        client = TestClient(app)
        names = [card.name for card in services.cards.of("lora").cards]
        if start == 0:
            assert names == []
            assert [one["folder"] for one in client.get(PATH).json()["nearby"]] == [str(comfy)]
            refused = client.post(PATH, json={"folder": str(tmp_path / "data")})
            assert refused.status_code == 422
            (row,) = client.post(PATH, json={"folder": f" {comfy} "}).json()["used"]
            assert (row["kinds"], row["active"]) == (["loras"], False)
            assert client.get(PATH).json()["nearby"] == []
        else:
            assert names == ["ink.safetensors"]
            assert client.get(PATH).json()["used"][0]["active"]
            noted = {"kind": "lora", "name": "ink.safetensors", "texts": {"notes": "x"}}
            answer = client.post("/internal/cards/details", json=noted)
            assert answer.status_code == 422 and "belongs to another program" in answer.json()["detail"]
            assert [path.name for path in (comfy / "models" / "loras").iterdir()] == ["ink.safetensors"]
            assert client.request("DELETE", PATH, json={"folder": str(comfy)}).json()["used"] == []
        services.close()


def test_who_comes_over_the_network_names_no_folders(tmp_path: Path) -> None:
    services = open_services(parse_flags(["--data-dir", str(tmp_path / "data"), "--listen"], {}))
    app = FastAPI()
    app.include_router(other_program_routes(services, any_visitor))
    client = TestClient(app)
    assert client.get(PATH).status_code == client.post(PATH, json={"folder": "/"}).status_code == 403
    services.close()
