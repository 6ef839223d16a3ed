"""Gradio's corrected scripts: every correction fits the version that is installed, and none is served by halves."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.server.gradio_scripts import CORRECTIONS, corrected_scripts, gradio_script_routes


def test_every_correction_fits_the_gradio_that_is_installed() -> None:
    scripts = corrected_scripts()
    assert len(scripts) == len({one.script for one in CORRECTIONS})
    text = b"\n".join(scripts.values()).decode()
    for one in CORRECTIONS:
        assert one.new in text and one.old not in text


def test_a_script_that_one_correction_does_not_fit_is_served_as_it_came(tmp_path: Path) -> None:
    core = [one for one in CORRECTIONS if one.script == "core-*.js"]
    (tmp_path / "core-abc.js").write_text(core[0].old + core[1].old, "utf-8")
    (tmp_path / "Blocks-abc.js").write_text(
        "".join(one.old for one in CORRECTIONS if one.script == "Blocks-*.js"), "utf-8"
    )
    assert list(corrected_scripts(tmp_path)) == ["Blocks-abc.js"]


def test_a_browser_asks_whether_its_script_is_still_the_one() -> None:
    app = FastAPI()
    app.include_router(gradio_script_routes())
    client = TestClient(app)
    name = next(iter(corrected_scripts()))
    first = client.get(f"/assets/{name}")
    assert (first.status_code, first.headers["content-type"].partition(";")[0]) == (200, "text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(f"/assets/{name}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
