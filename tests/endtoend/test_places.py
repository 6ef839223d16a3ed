"""Where things lie: no checkpoint at all, a full disk, outputs that can't be written, a port or a folder in use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.checkpoints import write_tiny_checkpoint
from tests.endtoend.house import FLAGS, House, one_sentence
from tests.features.detail.planted import plant
from tests.server.server import ROOT, Server

pytestmark = pytest.mark.server


def test_without_a_checkpoint_the_server_starts_and_says_where_to_put_one(tmp_path: Path) -> None:
    with Server(tmp_path, *FLAGS, module="tests.endtoend.bare_server") as server:
        house = House(server)
        assert b"<!doctype html>" in server.request("GET", "/")[2]
        answer = house.post("/v1/jobs/txt2img", prompt="a", steps=1)
        assert 400 <= answer.status_code < 500
        detail = answer.json()["detail"]
        assert one_sentence(detail) and "Stable-diffusion" in detail.replace("Diffusion", "diffusion"), detail
        assert detail.split(":")[0][:20] in house.log()
        # One is put there while the server runs.
        write_tiny_checkpoint(house.models / "good.safetensors")
        assert house.post("/sdapi/v1/refresh-checkpoints").status_code == 200
        house.works()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A data folder whose outputs are a disk of 256 KiB if one can be mounted; else the server pretends."""
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(outputs)]
    mounted = sys.platform == "linux" and subprocess.run(command, capture_output=True).returncode == 0
    yield tmp_path, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(outputs)], check=True)


def test_a_full_disk_fails_the_job_in_a_sentence_and_the_next_one_works_when_there_is_room(
    small_disk: tuple[Path, bool],
) -> None:
    data, mounted = small_disk
    write_tiny_checkpoint(data / "models" / "Stable-diffusion" / "good.safetensors")
    filler = data / "outputs" / "filler" if mounted else data / "full"
    module = "modules.server" if mounted else "tests.endtoend.full_disk_server"
    with Server(data, *FLAGS, "--nowebui", module=module) as server:
        house = House(server)
        house.works()
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(512)) and mounted:
                pass
        job = house.made(n_iter=2)
        assert job["state"] == "failed"
        assert one_sentence(job["cause"]) and str(data / "outputs") in job["cause"], job["cause"]
        assert job["cause"] in house.log()
        left = [path for path in (data / "outputs").rglob("*") if path.is_file() and path != filler]
        assert len(left) == 1, left
        filler.unlink()
        house.works()
        a_disk_that_is_full_under_a_detail_pass(house, filler, mounted)


def a_disk_that_is_full_under_a_detail_pass(house: House, filler: Path, mounted: bool) -> None:
    """There is room for what is saved beside a picture, and none for the picture."""

    def files() -> dict[Path, bytes]:
        found = (path for path in house.outputs.rglob("*") if path.is_file() and path != filler)
        return {path: path.read_bytes() for path in found}

    plant(house.server.data_dir / "models" / "adetailer" / "planted.onnx", [(0.1, 0.1, 0.6, 0.6)])
    detail = {
        "alwayson_scripts": {"ADetailer": {"args": [{"ad_model": "planted.onnx", "ad_denoising_strength": 0.9}]}},
        "override_settings": {"ad_save_images_before": True},
    }
    before = files()
    room = 4096 * -(-(max(map(len, before.values())) + 1000) // 4096)
    filler.write_bytes(b"1")
    if mounted:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(512)):
                pass
        os.truncate(filler, filler.stat().st_size - room)
    job = house.made(n_iter=2, **detail)
    assert (job["state"], one_sentence(job["cause"])) == ("failed", True), job["cause"]
    assert str(house.outputs) in job["cause"]
    left = files()
    assert left.items() >= before.items()
    for path in left.keys() - before.keys():
        # Whole, and nothing under a passing name.
        assert path.stem.endswith("-ad-before")
        Image.open(path).load()
    assert len(left) == len(before) + 1, left.keys()
    filler.unlink()
    job = house.made(n_iter=2, **detail)
    assert job["state"] == "finished", job["cause"]
    assert len(files()) == len(left) + 5  # two pictures, each as it was before, and their grid


@pytest.mark.long
def test_outputs_that_are_no_folder_fail_the_job_and_the_next_one_works_when_they_are(tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "good.safetensors")
    (tmp_path / "outputs").write_text("a file where the folder belongs")
    with Server(tmp_path, *FLAGS, module="modules.server") as server:
        house = House(server)
        job = house.made()
        assert job["state"] == "failed"
        assert one_sentence(job["cause"]) and str(tmp_path / "outputs") in job["cause"], job["cause"]
        (tmp_path / "outputs").unlink()
        house.works()


def test_a_second_server_on_the_same_folder_or_port_says_so_and_leaves_the_first_alone(house: House) -> None:
    def second(*flags: str) -> str:
        command = [sys.executable, "-m", "modules.server", *FLAGS, *flags]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 1, done.stdout
        assert one_sentence(done.stderr), done.stderr
        return done.stderr

    here = str(house.server.data_dir)
    assert str(house.server.port) in second("--port", str(house.server.port), "--data-dir", here + "-other")
    assert "data" in second("--port", "0", "--data-dir", here)
    house.works()


def test_files_that_are_not_pictures_are_not_served(house: House) -> None:
    data = house.server.data_dir
    house.works()
    secret = data / "outputs" / "link.png"
    secret.symlink_to(data / "webui.db")
    inside = data / "outputs"
    for path in (
        data / "webui.db",
        data / "config.json",
        house.models / "good.safetensors",
        inside / ".." / "webui.db",
        f"{inside}/../webui.db",
        f"{inside}/%2e%2e/webui.db",
        f"{inside}/..%2fwebui.db",
        f"{inside}%2f..%2fwebui.db",
        secret,
        ROOT / "modules" / "version.py",
        ROOT / "requirements.txt",
        "/etc/hostname",
        "file:///etc/hostname",
        "http://127.0.0.1:1/x",
    ):
        for route in ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/internal/assets/", "/static/", "/assets/"):
            status, _, body = house.server.request("GET", f"{route}{path}")
            assert status in {302, 400, 403, 404}, f"{route}{path}: {status} {body[:80]!r}"
    (picture,) = list(inside.rglob("00000-*.png"))[:1]
    assert house.server.request("GET", f"/gradio_api/file={picture}")[0] == 200
