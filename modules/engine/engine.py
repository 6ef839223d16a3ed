"""The engine: one thread receives commands, the other carries them out."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from diffusers.utils import logging as diffusers_logging

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Channel, Closed
from modules.engine.control import JobControl, JobControls, StopLevel
from modules.engine.embedding_cache import EmbeddingCache
from modules.engine.extras_job import run_extras
from modules.engine.failures import is_lost, sentence_for
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.hardware_flags import requested_hardware, requested_memory_mode, requested_sdxl_memory_mode
from modules.engine.job import run_job
from modules.engine.meanings import MeaningWorker
from modules.engine.merger_job import run_merger
from modules.engine.model_keeper import ModelKeeper
from modules.engine.tiny_autoencoder_cache import TinyAutoencoderCache
from modules.engine.upscalers import UpscalerKeeper
from modules.hardware.choice import choose_hardware, prepare_torch
from modules.hardware.main_memory import give_back_memory
from modules.hardware.memory_watch import MemoryWatch
from modules.hardware.out_of_memory import is_out_of_memory
from modules.protocol import (
    DEVICE_LOST,
    CheckpointFailed,
    CheckpointFile,
    EncodePictures,
    EncodeText,
    EngineReady,
    ImageReady,
    Interrupt,
    JobCommand,
    JobFailed,
    LoadCheckpoint,
    Notice,
    RunExtras,
    RunJob,
    RunMerger,
    Shutdown,
    Skip,
    UnloadCheckpoint,
)
from modules.protocol.messages import Message
from modules.settings import Paths, parse_flags
from modules.settings.warned import HeardWarnings

_log = logging.getLogger(__name__)

_HUNG_UP: Final = 3
# Seconds without a command after which unused memory is given back before waiting on.
_IDLE: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Received:
    """A command that waits for its turn; a job's comes with its control."""

    command: Message
    control: JobControl | None = None


class Engine:
    """Takes commands in order, one at a time; only interrupts and skips overtake."""

    def __init__(self, channel: Channel, argv: Sequence[str]) -> None:
        diffusers_logging.set_verbosity_error()
        self._channel = channel
        flags = parse_flags(list(argv))
        self._hardware = choose_hardware(requested_hardware(flags))
        prepare_torch(self._hardware)
        paths = Paths.from_flags(flags)
        embeddings = EmbeddingCache(paths.embeddings_dirs, channel.emit)
        tiny = TinyAutoencoderCache(paths.vae_approx_dir, self._hardware)
        self._models = ModelKeeper(
            self._hardware,
            channel.emit,
            requested_memory_mode(flags),
            embeddings,
            requested_sdxl_memory_mode(flags),
            tiny,
        )
        self._upscalers = UpscalerKeeper(self._hardware, ModelFolders.from_paths(paths), flags.use_cpu)
        self._controls = JobControls()
        self._looking = MeaningWorker(lambda: self._controls.busy, channel.emit, idly=True)
        # Somebody waits for these: not behind pictures.
        self._reading = MeaningWorker(lambda: self._controls.busy, channel.emit)
        self._received: queue.SimpleQueue[_Received] = queue.SimpleQueue()

    def work(self) -> None:
        """Serve until the command to shut down. Ends the process when the server is gone."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        self._looking.start()
        self._reading.start()
        with HeardWarnings(lambda text: self._channel.emit(Notice(text=text, level="warning"))).listening():
            self._channel.emit(
                EngineReady(pid=os.getpid(), device=str(self._hardware.device), hardware=self._hardware.why)
            )
            self._channel.emit(self._models.facts())
            while not isinstance((received := self._next()).command, Shutdown):
                self._do(received.command, received.control)
            self._models.unload()

    def _next(self) -> _Received:
        """The next command. Once none has come for a while, unused memory goes back to the system."""
        try:
            return self._received.get(timeout=_IDLE)
        except queue.Empty:
            give_back_memory()
            return self._received.get()

    def _listen(self) -> None:
        while True:
            try:
                command = self._channel.receive()
            except Closed:
                # Nobody is left to save what is being made, and its job is still in the queue: stop at once.
                os._exit(_HUNG_UP)
            match command:
                case Interrupt(job_id=job_id, after_image=after):
                    self._controls.request(job_id, StopLevel.STOP_AFTER_BATCH if after else StopLevel.STOP)
                case Skip(job_id=job_id):
                    self._controls.request(job_id, StopLevel.SKIP)
                case RunJob(job_id=job_id) | RunExtras(job_id=job_id) | RunMerger(job_id=job_id):
                    self._received.put(_Received(command, self._controls.receive(job_id)))
                    self._looking.make_way()
                case EncodePictures():
                    self._looking.ask(command)
                case EncodeText():
                    self._reading.ask(command)
                case _:
                    self._received.put(_Received(command))

    def _do(self, command: Message, control: JobControl | None) -> None:
        match command:
            case RunJob() | RunExtras() | RunMerger() if control is not None:
                self._run(command, control)
            case LoadCheckpoint(checkpoint=checkpoint):
                self._load(checkpoint)
            case UnloadCheckpoint():
                self._models.unload()
                self._upscalers.forget()
                self._looking.make_way()
                self._reading.make_way()
            case _:
                _log.warning("Ignored a %s command.", type(command).__name__)

    def _load(self, checkpoint: CheckpointFile) -> None:
        """Load a checkpoint for the jobs to come. A job with its file tries again, and may do with less memory."""
        try:
            self._models.load(checkpoint)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever is in a file, the next command is carried out
            _log.warning("%s could not be loaded.", checkpoint.title, exc_info=error)
            self._end_without_device()
            self._models.recover()
            # These were reported where they were caught.
            if not isinstance(error, ModelFileError | RuntimeError | MemoryError):
                cause = sentence_for(error, self._hardware)
                self._channel.emit(CheckpointFailed(title=checkpoint.title, cause=cause))

    def _run(self, command: JobCommand, control: JobControl) -> None:
        self._models.begin_job()
        try:
            polls = command.resolved.settings.monitor.memmon_poll_rate
            with MemoryWatch(self._hardware.device, polls) as watch:
                match command:
                    case RunExtras():
                        emit, room = self._channel.emit, self._models.make_room
                        run_extras(command, self._upscalers, control, emit, watch, room)
                    case RunMerger():
                        run_merger(command, control, self._channel.emit, watch)
                    case _:
                        self._run_within_memory(command, control, watch)
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a job dies of, the next one must run
            _log.exception("Job %s failed.", command.job_id)
            self._end_without_device()
            cause = sentence_for(error, self._hardware)
            self._upscalers.leave_device()
            self._models.recover()
            self._channel.emit(JobFailed(job_id=command.job_id, cause=cause))
        finally:
            self._controls.end(command.job_id, control)
            self._channel.emit(self._models.facts())

    def _end_without_device(self) -> None:
        """End the process if its card is lost to it: the next one has a card again, and gets the job once more."""
        if is_lost(self._hardware.device):
            _log.critical("%s refuses all further work, so this engine ends.", self._hardware.device_name)
            logging.shutdown()
            os._exit(DEVICE_LOST)

    def _run_within_memory(self, command: RunJob, control: JobControl, watch: MemoryWatch) -> None:
        """Run a job; when the device runs out of memory, go on with the rest of it more thriftily."""
        done = set(command.done)
        notices: tuple[str, ...] = ()

        def emit(event: Message) -> None:
            if isinstance(event, ImageReady) and event.kind == "image":
                done.add(event.index)
            self._channel.emit(event)

        with FinishedPictures(command.pictures) as pictures:
            while True:
                rest = command.model_copy(update={"done": tuple(sorted(done))})
                services = self._models, self._upscalers, control, self._hardware
                try:
                    run_job(rest, *services, emit, pictures, notices, watch)
                    return
                except (RuntimeError, MemoryError) as error:
                    notice = self._make_do() if is_out_of_memory(error) else None
                    if notice is None:
                        raise
                # Outside the handler, which would hold the failed pass's tensors in memory.
                notices = (*notices, notice)

    def _make_do(self) -> str | None:
        """After running out of memory: need less. Returns what was done, as a sentence, or None if nothing was left."""
        if self._models.drop_cached():
            return "Memory ran out: the checkpoints that were kept there were dropped, and the job went on."
        if self._models.stop_replaying():
            return "The card ran out of memory: steps are not replayed any more, and the job went on."
        mode = self._models.step_down()
        if mode is None:
            return None
        return f"The card ran out of memory: the job went on with --{mode}, and so will the next ones."
