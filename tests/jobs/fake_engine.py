"""An engine that speaks the protocol without torch: small pictures that depend on the seed alone, trouble on demand.

Words in the prompt choose the behaviour: `slow` (0.05 s a step), `brisk` (0.01 s), `crash` (ends with code 3),
`crashonce` (only the first time, by a file in FAKE_ENGINE_FOLDER), `sigkill`, `hang`, `oom` (fails with a cause),
`deaf` (ignores Interrupt), `twice` (delivers every picture twice), `silent` (no steps), `detailed` (a longer
infotext), `warns` (of something), `sized` (pictures as large as requested, else 8x8). The checkpoint title
`bad.safetensors` fails to load, `deadly.safetensors` ends the process.
A file of Extras called `crash` and so on does the same.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable
from multiprocessing.connection import Client
from pathlib import Path
from queue import SimpleQueue

from modules.engine.control import JobControl, JobControls, StopLevel
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import PictureError, encode_picture, read_metadata
from modules.pictures.opening import open_picture
from modules.pictures.postprocessing import Tools, postprocess
from modules.protocol import (
    CheckpointFailed,
    CheckpointFile,
    CheckpointLoaded,
    CheckpointLoading,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    JobFinished,
    JobStarted,
    LoadCheckpoint,
    MemoryPeak,
    Notice,
    Preview,
    RunExtras,
    RunJob,
    Shutdown,
    Skip,
    StepDone,
    UnloadCheckpoint,
    decode,
    encode,
)
from modules.protocol.messages import Message


class Died(BaseException):
    """The in-process stand-in for the end of the process; carries the cause."""


def picture(seed: int, width: int = 8, height: int = 8, text: str = "") -> bytes:
    """A PNG whose pixels follow from `seed` alone, with `text` in its `parameters` chunk."""
    pixels = bytearray()
    state = seed & 0xFFFFFFFF
    for _ in range(height):
        pixels.append(0)
        for _ in range(width * 3):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            pixels.append(state >> 24)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            chunk(b"tEXt", b"parameters\0" + text.encode("latin-1", "replace")),
            chunk(b"IDAT", zlib.compress(bytes(pixels))),
            chunk(b"IEND", b""),
        )
    )


class FakeEngine:
    """Commands in through `commands`, events out through `emit`."""

    def __init__(self, emit: Callable[[Message], None], die: Callable[[str], None]) -> None:
        self.commands: SimpleQueue[tuple[Message | None, JobControl]] = SimpleQueue()
        self._emit = emit
        self._die = die
        self._controls = JobControls()
        self._loaded: str | None = None
        self.jobs_run: list[RunJob] = []

    def receive(self, command: Message | None) -> None:
        """Take a command; stop requests act at once."""
        match command:
            case Interrupt(job_id=job_id, after_image=after):
                self._controls.request(job_id, StopLevel.STOP_AFTER_BATCH if after else StopLevel.STOP)
            case Skip(job_id=job_id):
                self._controls.request(job_id, StopLevel.SKIP)
            case RunJob(job_id=job_id) | RunExtras(job_id=job_id):
                self.commands.put((command, self._controls.receive(job_id)))
            case _:
                self.commands.put((command, JobControl()))

    def run(self) -> None:
        self._emit(EngineReady(pid=os.getpid(), device="cpu", hardware="a fake, int8"))
        while True:
            command, control = self.commands.get()
            if command is None or isinstance(command, Shutdown):
                return
            match command:
                case LoadCheckpoint(checkpoint=checkpoint):
                    self._load(checkpoint)
                case UnloadCheckpoint():
                    self._loaded = None
                case RunJob():
                    self.jobs_run.append(command)
                    self._job(command, self._heeded(command, control))
                    self._controls.end(command.job_id, control)
                case RunExtras():
                    self._extras(command, control)
                    self._controls.end(command.job_id, control)

    def _heeded(self, job: RunJob, control: JobControl) -> JobControl:
        """The control that the job looks at: a deaf one's never changes."""
        return JobControl() if "deaf" in job.resolved.request.prompt.split() else control

    def _load(self, checkpoint: CheckpointFile) -> str | None:
        if self._loaded == checkpoint.path:
            return None
        self._emit(CheckpointLoading(title=checkpoint.title))
        if checkpoint.title.startswith("deadly"):
            self._die("exit")
        if checkpoint.title.startswith("bad"):
            cause = f"{checkpoint.title} is not a checkpoint."
            self._loaded = None
            self._emit(CheckpointFailed(title=checkpoint.title, cause=cause))
            return cause
        self._loaded = checkpoint.path
        self._emit(CheckpointLoaded(title=checkpoint.title, seconds=0.0, width=64, height=64))
        return None

    def _job(self, job: RunJob, control: JobControl) -> None:
        request = job.resolved.request
        words = set(request.prompt.split())
        if cause := self._load(job.checkpoint):
            self._emit(JobFailed(job_id=job.job_id, cause=cause))
            return
        self._emit(JobStarted(job_id=job.job_id, images=job.resolved.image_count))
        self._trouble(words, job)
        if "oom" in words:
            self._emit(JobFailed(job_id=job.job_id, cause="The device ran out of memory.", retry=True))
            return
        for batch in range(request.n_iter):
            if control.stopped:
                break
            if "silent" in words or self._steps(job, batch, words, control):
                self._deliver(job, batch, words)
            control.end_batch()
        memory = MemoryPeak(used=2_000_000_000, total=8_000_000_000, allocated=1_230_000_000)
        self._emit(
            JobFinished(
                job_id=job.job_id,
                seconds=0.1,
                interrupted=control.stopped,
                notices=("made by a fake",),
                memory=memory,
            )
        )

    def _extras(self, job: RunExtras, control: JobControl) -> None:
        """As the real engine, with the upscalers that need no model."""
        extras = job.resolved.request.extras
        assert extras is not None
        self._emit(JobStarted(job_id=job.job_id, images=len(job.files)))
        bad = []
        for index, (file, name) in enumerate(zip(job.files, extras.names, strict=True)):
            if control.stopped:
                break
            if index in job.done:
                continue
            skipped = control.leave_batch
            control.end_batch()
            if skipped:
                continue
            self._trouble({Path(name).stem}, job)
            try:
                image = postprocess(open_picture(Path(file).read_bytes(), name), extras, Tools())
            except PictureError as error:
                bad.append(str(error))
                continue
            for kind, result in reversed(image.pictures):
                infotext = read_metadata(Path(file)).infotext
                chunks = {"postprocessing": image.note}
                data, extension = encode_picture(result, ImageFileOptions(), infotext, chunks=chunks)
                self._emit(
                    ImageReady(
                        job_id=job.job_id,
                        index=index,
                        kind=kind,
                        extension=extension,
                        infotext=", ".join(text for text in (infotext, image.note) if text),
                        seed=0,
                        subseed=0,
                        width=result.width,
                        height=result.height,
                        blobs=(data,),
                    )
                )
        if len(bad) == len(job.files):
            self._emit(JobFailed(job_id=job.job_id, cause=bad[0]))
        else:
            self._emit(JobFinished(job_id=job.job_id, seconds=0.1, interrupted=control.stopped, notices=tuple(bad)))

    def _trouble(self, words: set[str], job: RunJob | RunExtras) -> None:
        if "warns" in words:
            self._emit(Notice(text="UserWarning: the fake is only a fake", level="warning"))
        once = Path(os.environ.get("FAKE_ENGINE_FOLDER", ".")) / f"crashed-{job.job_id}"
        if "crash" in words:
            self._die("exit")
        if "crashonce" in words and not once.exists():
            once.write_text("")
            self._die("exit")
        if "sigkill" in words:
            self._die("kill")
        while "hang" in words:
            time.sleep(0.02)
            self._die("wait")

    def _steps(self, job: RunJob, batch: int, words: set[str], control: JobControl) -> bool:
        request = job.resolved.request
        seconds = 0.05 if "slow" in words else 0.01 if "brisk" in words else 0.0
        for step in range(request.steps):
            time.sleep(seconds)
            self._die("wait")
            if control.leave_batch:
                return False
            fraction = (batch + (step + 1) / request.steps) / request.n_iter
            self._emit(StepDone(job_id=job.job_id, batch=batch, step=step + 1, steps=request.steps, fraction=fraction))
            if step % 2 == 0:
                self._emit(
                    Preview(job_id=job.job_id, batch=batch, step=step, mime="image/png", blobs=(picture(step, 2, 2),))
                )
        return True

    def _deliver(self, job: RunJob, batch: int, words: set[str]) -> None:
        request, count = job.resolved.request, job.resolved.image_count
        # What a script makes beyond the plain job's pictures comes with the last of them.
        last = count if batch + 1 == request.n_iter else (batch + 1) * request.batch_size
        for index in range(batch * request.batch_size, min(last, count)):
            if index in job.done:
                continue
            seed = job.resolved.seeds[index]
            text = f"{job.resolved.of_image(index).request.prompt}\nSteps: {request.steps}, Seed: {seed}"
            if "detailed" in words:
                text += f", Sampler: {request.sampler_name}, Size: {request.width}x{request.height}"
            size = (request.width, request.height) if "sized" in words else (8, 8)
            message = ImageReady(
                job_id=job.job_id,
                index=index,
                extension="png",
                infotext=text,
                seed=seed,
                subseed=job.resolved.subseeds[index],
                width=request.width,
                height=request.height,
                blobs=(picture(seed, *size, text=text),),
            )
            for _ in range(2 if "twice" in words else 1):
                self._emit(message)


def _die(how: str) -> None:
    if how == "exit":
        sys.stdout.write("the fake engine crashes now\n")
        sys.stdout.flush()
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


def main(address: str) -> None:
    """Serve one server over the line, as the real engine does."""
    connection = Client(address, authkey=bytes.fromhex(os.environ.pop("WEBUI_ENGINE_AUTHKEY")))
    lock = threading.Lock()

    def emit(event: Message) -> None:
        with lock:
            try:
                connection.send_bytes(encode(event))
            except OSError:
                os._exit(0)

    engine = FakeEngine(emit, _die)

    def listen() -> None:
        while True:
            try:
                engine.receive(decode(connection.recv_bytes()))
            except (EOFError, OSError):
                os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    engine.run()


if __name__ == "__main__":
    main(sys.argv[1])
