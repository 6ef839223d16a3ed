"""The queue with a fake engine on a thread: order, progress, stopping, and what page and API read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modules.parameters import GenerationRequest
from tests.jobs.fake_engine import picture
from tests.jobs.helpers import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with House(tmp_path) as opened:
        yield opened


def ask(prompt: str = "a cat", **values: object) -> GenerationRequest:
    return GenerationRequest.model_validate({"prompt": prompt, "steps": 4, "width": 64, "height": 64, **values})


def test_a_job_is_made_and_saved(house: House) -> None:
    job = house.jobs.submit(ask(n_iter=2, batch_size=2, seed=7), client="page-1", task_id="task(1)")
    assert job.state == "waiting"
    done = house.jobs.wait(job.id, 10)
    assert done.state == "finished"
    assert [image.seed for image in done.images] == [7, 8, 9, 10]
    assert [image.index for image in done.images] == [0, 1, 2, 3]
    assert [image.path for image in done.images] == house.files
    text = "a cat\nSteps: 4, Seed: 7"
    assert done.images[0].path.read_bytes() == picture(7, text=text)
    assert done.images[0].infotext == text
    assert done.notices == ("made by a fake",)
    assert house.jobs.of_task("task(1)") == done
    assert house.jobs.list(client="page-1") == [done]
    assert house.jobs.list(client="page-2") == []
