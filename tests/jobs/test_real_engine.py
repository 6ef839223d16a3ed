"""Server side and real engine together on a tiny checkpoint: a picture, a kill, bad files, the same bytes again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modules.jobs import Job
from modules.jobs.services import Services, open_services
from modules.parameters import GenerationRequest
from modules.settings import parse_flags
from tests.checkpoints import truncate, write_tiny_checkpoint
from tests.jobs.helpers import ROOT, eventually, present

pytestmark = pytest.mark.server
STARTED = 120.0


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("data")
    models = folder / "models" / "Stable-Diffusion"
    models.mkdir(parents=True)
    write_tiny_checkpoint(models / "tiny.safetensors")
    truncate(write_tiny_checkpoint(models / "cut.safetensors"))
    (models / "empty.safetensors").touch()
    flags = ["--data-dir", str(folder), "--use-cpu", "all", "--no-half", "--no-hashing"]
    services = open_services(parse_flags(flags, {}))
    services.options.update({"sd_model_checkpoint": "tiny.safetensors"})
    yield services
    services.close()


def make(services: Services, prompt: str = "a red apple", **values: object) -> Job:
    request = GenerationRequest.model_validate(
        {"prompt": prompt, "steps": 3, "width": 64, "height": 64, "sampler_name": "Euler a", **values}
    )
    return services.jobs.submit(request)


def made(services: Services, **values: Any) -> Job:
    return services.jobs.wait(make(services, **values).id, STARTED)


def test_a_picture_with_its_infotext(opened: Services) -> None:
    job = made(opened, seed=5, n_iter=2)
    assert (job.state, job.cause) == ("finished", None)
    images = [image for image in job.images if image.kind == "image"]
    assert [image.seed for image in images] == [5, 6]
    assert images[0].infotext.startswith("a red apple\nSteps: 3, Sampler: Euler a, Schedule type: Automatic")
    assert images[0].infotext.encode() in images[0].path.read_bytes()
    assert [image.path.name for image in job.images if image.kind == "grid"] == ["grid-0000.png"]


@pytest.mark.parametrize("name", ["cut.safetensors", "empty.safetensors"])
def test_a_bad_file_is_a_sentence_and_the_next_job_works(opened: Services, name: str) -> None:
    job = made(opened, override_settings={"sd_model_checkpoint": name})
    assert job.state == "failed"
    assert job.cause is not None and name in job.cause
    assert made(opened).state == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_engine_costs_nothing_but_time(opened: Services) -> None:
    whole = made(opened, seed=11, steps=40, n_iter=3)
    job = make(opened, seed=11, steps=40, n_iter=3)
    eventually(lambda: present(opened.jobs.progress(job.id)).images, STARTED)
    pid = opened.jobs.engine().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    again = opened.jobs.wait(job.id, STARTED)
    assert (again.state, again.attempts, again.cause) == ("finished", 1, None)
    assert opened.jobs.engine().pid != pid
    assert [_pixels(image.path) for image in again.images if image.kind == "image"] == [
        _pixels(image.path) for image in whole.images if image.kind == "image"
    ]


def test_interrupt_reaches_the_engine_between_two_steps(opened: Services) -> None:
    job = make(opened, steps=1000, width=256, height=256)
    eventually(lambda: present(opened.jobs.progress(job.id)).step > 1, STARTED)
    opened.jobs.interrupt()
    assert opened.jobs.wait(job.id, STARTED).state == "interrupted"


SERVER = """
import sys, time
from modules.jobs.services import open_services
from modules.settings import parse_flags
from tests.jobs.test_real_engine import make

services = open_services(parse_flags(sys.argv[1:], {}))
job = make(services, seed=11, steps=1000)
while not services.jobs.progress(job.id).step > 3:
    time.sleep(0.01)
sys.stdout.write(f"{job.id} {services.jobs.engine().pid}\\n")
sys.stdout.flush()
time.sleep(600)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the engine in /proc")
def test_a_killed_server_takes_its_engine_along_and_leaves_the_job(tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "tiny.safetensors")
    flags = ["--data-dir", str(tmp_path), "--ckpt", str(tmp_path / "tiny.safetensors"), "--use-cpu", "all"]
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *flags],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert server.stdout is not None
    with server.stdout:
        job_id, engine = server.stdout.readline().decode().split()
    server.kill()
    server.wait()
    eventually(lambda: not _runs(engine), 20)
    services = open_services(parse_flags(flags, {}))
    try:
        eventually(lambda: present(services.jobs.progress(job_id)).step > 3, STARTED)
        job = services.jobs.get(job_id)
        assert job is not None and (job.state, job.attempts) == ("running", 0)
        services.jobs.interrupt(job_id)
        assert services.jobs.wait(job_id, STARTED).state == "interrupted"
    finally:
        services.close()


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _pixels(path: Path) -> bytes:
    return path.read_bytes()
