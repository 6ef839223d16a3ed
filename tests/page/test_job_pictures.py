"""Which pictures are on display for a job: its own, or those of a gallery in which they replace one."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from modules.jobs.access import ANYONE
from modules.jobs.job import Job, JobProgress, SavedImage
from modules.jobs.services import Services
from modules.jobs.viewed import ViewedJobs
from modules.page.job_pictures import first_picture, first_selected, replacing, shown_pictures, under_way
from modules.parameters import GenerationRequest, resolve


def job(folder: Path, name: str, count: int = 1, task_id: str | None = None, **fields: Any) -> Job:
    request = GenerationRequest(prompt=name, seed=1, n_iter=count, **fields)
    resolved = resolve(request, options={}, rng=random.Random(1), checkpoint="x")
    images = []
    for index in range(count):
        path = folder / f"{name}-{index}.png"
        path.write_bytes(b"")
        images.append(SavedImage(index, "image", path, "", 1 + index, 0, 64, 64))
    return Job(name, "finished", request, resolved, images=tuple(images), created=time.time(), task_id=task_id)


def services_of(*jobs: Job) -> Services:
    found = {one.id: one for one in jobs}
    return cast("Services", SimpleNamespace(jobs=SimpleNamespace(get=found.get, may_access=lambda job, viewer: True)))


def seen(services: Services) -> ViewedJobs:
    return ViewedJobs(services.jobs, ANYONE)


def names(services: Services, shown_id: str) -> list[str]:
    return [image.path.stem for image in shown_pictures(services, ANYONE, shown_id)]


def test_an_enlarged_picture_takes_its_place_in_the_gallery_it_came_from(tmp_path: Path) -> None:
    batch = job(tmp_path, "batch", 3)
    first = job(tmp_path, "first", task_id=replacing("batch", 2))
    second = job(tmp_path, "second", task_id=replacing("first", 0))
    again = job(tmp_path, "again", task_id=replacing("second", 0))
    services = services_of(batch, first, second, again)
    assert names(services, "batch") == ["batch-0", "batch-1", "batch-2"]
    assert names(services, "first") == ["batch-0", "batch-1", "first-0"]
    assert names(services, "second") == ["second-0", "batch-1", "first-0"]
    assert names(services, "again") == ["again-0", "batch-1", "first-0"]
    assert [first_selected(seen(services), one, 3) for one in ("batch", "first", "second")] == [0, 2, 0]
    picture = first_picture(seen(services), "first")
    assert picture is not None and picture.path.stem == "first-0", "the row of earlier results shows what is new"


def test_what_is_left_is_shown_when_files_or_jobs_are_gone(tmp_path: Path) -> None:
    batch = job(tmp_path, "batch", 2)
    new = job(tmp_path, "new", task_id=replacing("batch", 1))
    lost = job(tmp_path, "lost", task_id=replacing("gone", 1))
    services = services_of(batch, new, lost)
    assert names(services, "lost") == ["lost-0"]
    assert first_selected(seen(services), "lost", 1) == 0
    (tmp_path / "new-0.png").unlink()
    assert names(services, "new") == ["batch-0", "batch-1"]
    assert names(services, "nowhere") == names(services, "") == []


def test_which_pictures_are_under_way(tmp_path: Path) -> None:
    one = job(tmp_path, "one", 3, batch_size=2)
    assert one.resolved.image_count == 6
    at = [under_way(one, JobProgress("one", "running", batch=batch)) for batch in range(3)]
    assert at == [(1, 2, 6), (3, 4, 6), (5, 6, 6)]


def test_a_plots_pictures_stand_in_its_grid_unless_they_are_wanted_beside_it(tmp_path: Path) -> None:
    def shown(grid: bool, **arguments: bool) -> list[str]:
        one = job(tmp_path, "plot", 2, scripts={"X/Y/Z plot": {"x_values": "1, 2", **arguments}})
        path = tmp_path / "grid.png"
        path.write_bytes(b"")
        grids = (SavedImage(0, "xyz_grid", path, "", 1, 0, 128, 64),) if grid else ()
        return names(services_of(replace(one, images=(*one.images, *grids))), "plot")

    assert shown(True) == ["grid"]
    assert shown(True, include_lone_images=True) == ["grid", "plot-0", "plot-1"]
    assert shown(False) == ["plot-0", "plot-1"], "under way, and where no grid is made"
