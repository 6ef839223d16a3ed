"""A server for the kill tests: the real queue, gallery and supervisor, the fake engine, and lines of JSON for clients.

It pauses a moment around each file, so that kills fall where they hurt.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modules.gallery import Gallery
from modules.jobs import Job, JobService
from modules.jobs.collaborators import Collaborators, Limits
from modules.jobs.database import prepare
from modules.jobs.engine_log import EngineLog
from modules.jobs.engine_process import EngineNews, EngineProcess
from modules.jobs.inputs import InputStore
from modules.jobs.lock import FolderLock
from modules.jobs.picture_files import PictureFiles
from modules.jobs.store import JobStore
from modules.parameters import GenerationRequest
from modules.protocol import ImageReady
from modules.settings import OptionStore, Paths, parse_flags
from tests.jobs.helpers import QUICK, checkpoint_named, resolved


class SlowPictureFiles(PictureFiles):
    def write(self, path: Path, job: Job, image: ImageReady) -> Path:
        time.sleep(random.uniform(0, 0.02))
        where = super().write(path, job, image)
        time.sleep(random.uniform(0, 0.02))
        return where


def open_jobs(folder: Path) -> JobService:
    paths = Paths.from_flags(parse_flags(["--data-dir", str(folder)]))
    log = EngineLog(paths.log_dir)
    prepare(paths.database)

    def launch(number: int, post: Callable[[EngineNews], None]) -> EngineProcess:
        return EngineProcess(number, post, [sys.executable, "-m", "tests.jobs.fake_engine"], log.copy)

    return JobService(
        JobStore(paths.database),
        InputStore(paths.cache_dir / "inputs"),
        Collaborators(
            resolve=resolved,
            checkpoint_of=lambda one: checkpoint_named(one.checkpoint),
            checkpoint_named=checkpoint_named,
            picture_store=SlowPictureFiles(Gallery(paths, OptionStore(paths.config_file)), paths.cache_dir / "jobs"),
            launch=launch,
            engine_tail=log.tail,
        ),
        limits=lambda: Limits(server_deaths=1000),
        patience=QUICK,
    )


def main(folder: Path) -> None:
    lock = FolderLock(folder / "webui.lock")
    jobs = open_jobs(folder)
    jobs.start()
    for line in sys.stdin:
        match json.loads(line):
            case {"submit": values}:
                answer: object = jobs.submit(GenerationRequest.model_validate(values)).id
            case "engine":
                answer = jobs.engine().pid
            case "left":
                answer = len(jobs.list(states=("waiting", "running"), limit=10_000))
            case _:
                break
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    jobs.close()
    lock.release()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
