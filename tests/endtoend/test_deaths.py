"""Engine and server killed with a job under way: nothing is lost, and the pictures are those that were requested."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checkpoints import write_tiny_checkpoint
from tests.endtoend.house import FLAGS, House, one_sentence
from tests.server.server import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not Path("/proc").exists(), reason="looks for the engine in /proc"),
]
# Long enough to be killed in the middle of, also on a quick machine.
LONG = {"steps": 90, "seed": -1, "sampler_name": "Euler a"}


def _seeds(job: dict[str, object]) -> dict[str, object]:
    return {"steps": 90, "sampler_name": "Euler a", "seed": job["seeds"][0]}  # type: ignore[index]  # JSON of a known shape


# In every run without a server: tests/jobs/test_real_engine.py.
@pytest.mark.long
def test_a_job_whose_engine_is_killed_is_made_again_with_the_seed_it_had(house: House) -> None:
    identity = house.ask(**LONG)
    house.until(lambda: house.step(identity) > 3)
    seeds = house.job(identity)["seeds"]
    killed = house.kill_engine()
    job = house.ended(identity)
    assert (job["state"], job["attempts"], job["cause"]) == ("finished", 1, None)
    assert job["seeds"] == seeds and seeds[0] >= 0
    assert house.engine_pid() != killed
    again = house.made(**_seeds(job))
    assert house.picture(identity) == house.picture(again["id"])


@pytest.mark.long
def test_a_second_death_fails_the_job_with_its_cause_and_the_next_one_works(house: House) -> None:
    identity = house.ask(**LONG | {"steps": 1000, "n_iter": 20})
    house.until(lambda: house.step(identity) > 3)
    first = house.kill_engine()
    house.until(lambda: house.job(identity)["attempts"] == 1 and house.step(identity) > 3)
    assert house.kill_engine() != first
    job = house.ended(identity)
    assert job["state"] == "failed"
    assert one_sentence(job["cause"]) and "killed" in job["cause"], job["cause"]
    house.works()


def test_a_killed_server_finishes_what_ran_and_what_waited_at_its_next_start(tmp_path: Path) -> None:
    write_tiny_checkpoint(tmp_path / "models" / "Stable-diffusion" / "good.safetensors")
    with Server(tmp_path, *FLAGS, "--nowebui", module="modules.server") as server:
        house = House(server)
        running = house.ask(**LONG)
        waiting = [house.ask(steps=2, seed=-1) for _ in range(3)]
        house.until(lambda: house.step(running) > 3)
        seeds = {identity: house.job(identity)["seeds"] for identity in (running, *waiting)}
        server.kill()
        server.start()
        jobs = [house.ended(identity) for identity in (running, *waiting)]
        assert [job["state"] for job in jobs] == ["finished"] * 4, jobs
        assert {job["id"]: job["seeds"] for job in jobs} == seeds
        assert [job["started"] for job in jobs] == sorted(job["started"] for job in jobs)
        again = house.made(**_seeds(jobs[0]))
        assert house.picture(running) == house.picture(again["id"])
        files = [path for path in house.outputs.rglob("*") if path.is_file()]
        assert len(files) == 5 and all(path.suffix == ".png" and path.name[0] == "0" for path in files), files
        house.works()
