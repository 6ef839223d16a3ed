"""Services without an engine: a queue that draws gradients in a thread, for tests of the page and by hand.

`python -m tests.page.fakes --port 7870 --data-dir somewhere` serves the page over them.
"""

from __future__ import annotations

import io
import os
import random
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import Request
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.catalogue import ModelFolders, ModelNotFoundError
from modules.catalogue.cards import Cards
from modules.catalogue.networks import NetworkList
from modules.catalogue.upscalers import Upscaler, list_upscalers
from modules.downloads import GetModels
from modules.downloads.arrival import ModelPlaces
from modules.downloads.uploads import Uploads
from modules.gallery import Gallery
from modules.gallery.allowed_folders import AllowedFolders
from modules.gallery.index.service import PictureIndex
from modules.intake.checkpoints import current_checkpoint
from modules.intake.script_choices import machine_lists
from modules.intake.styles import SavedStyles
from modules.jobs.access import Sharing, Viewer, may_access
from modules.jobs.job import EngineStatus, Job, JobProgress, SavedImage, UnknownJob
from modules.parameters import GenerationRequest, resolve
from modules.settings import Flags, OptionStore, Paths


@dataclass(frozen=True)
class FakeCheckpoint:
    title: str
    width: int | None = None
    height: int | None = None
    sha256: str | None = None
    legacy_hash: str | None = None
    path: Path = Path("demo-emoji.safetensors")

    @property
    def name(self) -> str:
        return self.path.name


CHECKPOINTS = (
    FakeCheckpoint("demo-emoji.safetensors [0123456789]", 128, 128),
    FakeCheckpoint("other.safetensors [aaaaaaaaaa]"),
)


class FakeCatalogue:
    """Two checkpoints that are on no disk."""

    folders = ModelFolders()
    hashes = network_hashes = SimpleNamespace(get=lambda path, state: None)

    def checkpoints(self) -> tuple[FakeCheckpoint, ...]:
        return CHECKPOINTS

    def find_checkpoint(self, wanted: str) -> FakeCheckpoint:
        for checkpoint in CHECKPOINTS:
            if wanted and wanted in checkpoint.title:
                return checkpoint
        raise ModelNotFoundError(f"There is no checkpoint {wanted}.")

    def architecture(self, checkpoint: FakeCheckpoint) -> None:
        return None

    def native_size(self, checkpoint: FakeCheckpoint) -> tuple[int, int] | None:
        return (checkpoint.width, checkpoint.height) if checkpoint.width and checkpoint.height else None

    def modules(self) -> tuple[FakeCheckpoint, ...]:
        return ()

    def vaes(self) -> tuple[FakeCheckpoint, ...]:
        return ()

    loras = embeddings = hypernetworks = controls = vaes

    def networks(self, kind: str) -> NetworkList:
        return NetworkList(())

    def refresh(self) -> None:
        pass


class FakeJobs:
    """The JobService of the contract, in memory. `step_seconds` is how long a step takes."""

    def __init__(self, outputs: Path, step_seconds: float = 0.05) -> None:
        self.outputs = outputs
        self.step_seconds = step_seconds
        self.rows: dict[str, Job] = {}
        self.sharing: Sharing = "everybody"
        self.progresses: dict[str, JobProgress] = {}
        self.stops: set[str] = set()
        self.calls: list[tuple[Any, ...]] = []
        self.loaded = CHECKPOINTS[0].title
        self.wake = threading.Condition()
        self.closed = False
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, request: GenerationRequest, *, client: str | None = None, **_: Any) -> Job:
        resolved = resolve(request, options={}, rng=random.Random(), checkpoint=self.loaded)
        job = Job(f"job{len(self.rows)}", "waiting", request, resolved, created=time.time(), client=client)
        with self.wake:
            self.rows[job.id] = job
            self.wake.notify_all()
        return job

    def get(self, job_id: str) -> Job | None:
        return self.rows.get(job_id)

    def may_access(self, job: Job, viewer: Viewer) -> bool:
        return may_access(job, viewer, self.sharing)

    def list(
        self,
        states: Iterable[str] | None = None,
        limit: int = 1000,
        client: str | None = None,
        offset: int = 0,
        viewer: Viewer | None = None,
    ) -> list[Job]:
        wanted = set(states or ())
        found = [job for job in self.rows.values() if not wanted or job.state in wanted]
        return [job for job in found if client is None or job.client == client][offset:][-limit:]

    def of_task(self, task_id: str, viewer: Viewer | None = None) -> Job | None:
        return next((job for job in self.rows.values() if job.task_id == task_id), None)

    def ids(self, states: Iterable[str], limit: int, client: str, viewer: Viewer | None = None) -> Sequence[str]:
        return [job.id for job in self.list(states, limit, client)]

    def count(self, state: str) -> int:
        return sum(job.state == state for job in self.rows.values())

    def now(self) -> None:
        return None

    def progress(self, job_id: str | None) -> JobProgress:
        job = self._known(job_id)
        return self.progresses.get(job.id) or JobProgress(job.id, job.state)

    def _known(self, job_id: str | None) -> Job:
        if job_id is None or job_id not in self.rows:
            raise UnknownJob(str(job_id))
        return self.rows[job_id]

    def cancel(self, job_id: str) -> None:
        self._known(job_id)
        self._change(job_id, state="cancelled")

    def interrupt(self, job_id: str | None, after_image: bool = False) -> None:
        self.calls.append(("interrupt", job_id, after_image))
        self._known(job_id)
        if job_id is not None and not after_image:
            self.stops.add(job_id)

    def skip(self, job_id: str | None) -> None:
        self.calls.append(("skip", job_id))
        self._known(job_id)

    def on_warning(self, on_message: object) -> None:
        pass

    def engine(self) -> EngineStatus:
        return EngineStatus("ready", "Ready: gradients on a fake engine", self.loaded, "fake", os.getpid())

    engine_now = engine

    def load_checkpoint(self, title: str) -> None:
        self.loaded = title

    def close(self) -> None:
        self.closed = True

    def _change(self, job_id: str, **changes: Any) -> Job:
        with self.wake:
            self.rows[job_id] = replace(self.rows[job_id], **changes)
            return self.rows[job_id]

    def _run(self) -> None:
        while not self.closed:
            with self.wake:
                job = next((row for row in self.rows.values() if row.state == "waiting"), None)
                if job is None:
                    self.wake.wait(0.2)
                    continue
            self._make(self._change(job.id, state="running", started=time.time()))

    def _make(self, job: Job) -> None:
        if "fail" in job.request.prompt:
            self._change(job.id, state="failed", cause="The engine was told to fail.", finished=time.time())
            return
        images: tuple[SavedImage, ...] = ()
        count, steps = job.resolved.image_count, job.request.steps
        for index in range(count):
            for step in range(1, steps + 1):
                time.sleep(self.step_seconds)
                if job.id in self.stops:
                    self._change(job.id, state="interrupted", images=images, finished=time.time())
                    return
                done = (index * steps + step) / (count * steps)
                self.progresses[job.id] = JobProgress(
                    job.id,
                    "running",
                    0,
                    done,
                    step,
                    steps,
                    index,
                    (1 - done) * count * steps * self.step_seconds,
                    _picture(job.request.width // 4, job.request.height // 4, step / steps, None),
                    "image/png",
                    index * steps + step,
                    images=images,
                )
            images = (*images, self._save(job, index))
            self._change(job.id, images=images)
        self._change(job.id, state="finished", images=images, finished=time.time())

    def _save(self, job: Job, index: int) -> SavedImage:
        request, seed = job.request, job.resolved.seeds[index]
        text = (
            f"{request.prompt}\nNegative prompt: {request.negative_prompt}\nSteps: {request.steps}, Sampler: "
            f"{request.sampler_name}, Schedule type: Karras, CFG scale: {request.cfg_scale:g}, Seed: {seed}, "
            f"Size: {request.width}x{request.height}, Model hash: 0123456789, Model: demo-emoji, Version: v1.10.1"
        )
        self.outputs.mkdir(parents=True, exist_ok=True)
        path = self.outputs / f"{job.id}-{index}-{seed}.png"
        path.write_bytes(_picture(request.width, request.height, 1.0, text, seed))
        return SavedImage(index, "image", path, text, seed, job.resolved.subseeds[index], request.width, request.height)


def _picture(width: int, height: int, done: float, infotext: str | None, seed: int = 7) -> bytes:
    low = tuple(seed // divisor % 200 for divisor in (1, 11, 101))
    gradient = Image.linear_gradient("L").resize((max(width, 8), max(height, 8)))
    solid = [gradient.point(lambda value, base=base: int((base + value * 0.4) * done)) for base in low]
    info = PngInfo()
    if infotext is not None:
        info.add_text("parameters", infotext)
    buffer = io.BytesIO()
    Image.merge("RGB", solid).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def open_services(flags: Flags) -> Any:
    paths = Paths.from_flags(flags)
    options = OptionStore(paths.config_file)
    catalogue: Any = FakeCatalogue()
    folders = ModelFolders.from_paths(paths)
    places = ModelPlaces(folders, paths.vae_approx_dir)
    seconds = float(os.environ.get("FAKE_STEP_SECONDS", "0.1"))

    def upscalers() -> tuple[Upscaler, ...]:
        return list_upscalers(paths.upscaler_dirs)

    return SimpleNamespace(
        flags=flags,
        paths=paths,
        options=options,
        catalogue=catalogue,
        cards=Cards(folders, paths.cache_dir / "cards.json"),
        get_models=GetModels(paths.data_dir, places, lambda path, kind: None),
        uploads=Uploads(places, lambda path, kind: None),
        gallery=Gallery(paths, options),
        index=PictureIndex(paths, options),
        folders=AllowedFolders.at_start(paths, options, flags.gradio_allowed_path, extensible=flags.alone),
        styles=SavedStyles.of(paths.styles_files, paths.data_dir),
        jobs=FakeJobs(paths.outputs_dir, seconds),
        refresh_models=lambda: None,
        engine_log=SimpleNamespace(tail=lambda: ()),
        current_checkpoint=lambda: current_checkpoint(catalogue, options.text("sd_model_checkpoint")),
        upscalers=upscalers,
        lists=machine_lists(catalogue, upscalers, lambda: ()),
        notices=(),
        close=lambda: None,
    )


if __name__ == "__main__":
    from modules.server.serve import main

    sys.exit(main(sys.argv[1:], open_services))


def any_visitor(request: Request) -> None:
    """The login check of routes that admit everybody."""
