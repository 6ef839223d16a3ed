"""The engine: one thread listens, the other works through what was asked."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Sequence
from typing import Final

from diffusers.utils import logging as diffusers_logging

from modules.catalogue.folders import ModelFolders
from modules.catalogue.model_errors import ModelFileError
from modules.engine.channel import Channel, Closed
from modules.engine.control import JobControl, StopLevel
from modules.engine.embedding_cache import EmbeddingCache
from modules.engine.extras_job import run_extras
from modules.engine.failures import is_lost, is_out_of_memory, sentence_for
from modules.engine.hardware_flags import requested_hardware, requested_memory_mode, requested_sdxl_memory_mode
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.engine.tiny_autoencoder_cache import TinyAutoencoderCache
from modules.engine.upscalers import UpscalerKeeper
from modules.hardware.choice import choose_hardware, prepare_torch
from modules.hardware.main_memory import give_back_memory
from modules.hardware.memory_watch import MemoryWatch
from modules.protocol import (
    DEVICE_LOST,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFailed,
    LoadCheckpoint,
    Notice,
    RunExtras,
    RunJob,
    Shutdown,
    Skip,
    UnloadCheckpoint,
)
from modules.protocol.messages import Message
from modules.settings import Paths, parse_flags
from modules.settings.warned import HeardWarnings

_log = logging.getLogger(__name__)

_HUNG_UP: Final = 3
# Seconds without a command after which the next one is not waited for with memory in hand.
_IDLE: Final = 2.0


class Engine:
    """Takes commands in order, one at a time; only interrupts and skips overtake."""

    def __init__(self, channel: Channel, argv: Sequence[str]) -> None:
        diffusers_logging.set_verbosity_error()
        self._channel = channel
        flags = parse_flags(list(argv))
        self._hardware = choose_hardware(requested_hardware(flags))
        prepare_torch(self._hardware)
        paths = Paths.from_flags(flags)
        embeddings = EmbeddingCache(paths.embeddings_dir, channel.emit)
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
        self._control = JobControl()
        self._work: queue.SimpleQueue[Message] = queue.SimpleQueue()

    def work(self) -> None:
        """Serve until told to shut down. Ends the process when the server is gone."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        HeardWarnings(lambda text: self._channel.emit(Notice(text=text, level="warning"))).listen()
        self._channel.emit(EngineReady(pid=os.getpid(), device=str(self._hardware.device), hardware=self._hardware.why))
        self._channel.emit(self._models.facts())
        while not isinstance(command := self._next(), Shutdown):
            self._do(command)
        self._models.unload()

    def _next(self) -> Message:
        """The next command. Once none has come for a while, memory that was kept for it goes back to the system."""
        try:
            return self._work.get(timeout=_IDLE)
        except queue.Empty:
            give_back_memory()
            return self._work.get()

    def _listen(self) -> None:
        while True:
            try:
                command = self._channel.receive()
            except Closed:
                # Nobody is left to save what is being made, and its job is still in the queue: stop at once.
                os._exit(_HUNG_UP)
            match command:
                case Interrupt(job_id=job_id, after_image=after):
                    self._control.wish(job_id, StopLevel.STOP_AFTER_BATCH if after else StopLevel.STOP)
                case Skip(job_id=job_id):
                    self._control.wish(job_id, StopLevel.SKIP)
                case _:
                    self._work.put(command)

    def _do(self, command: Message) -> None:
        match command:
            case RunJob() | RunExtras():
                self._run(command)
            case LoadCheckpoint(checkpoint=checkpoint):
                try:
                    self._models.load(checkpoint)
                except (ModelFileError, RuntimeError, MemoryError) as error:
                    # Told on the page by now. A job with this file tries again, and may do with less memory.
                    _log.warning("%s", error)
                    self._end_without_device()
                    self._models.recover()
            case UnloadCheckpoint():
                self._models.unload()
                self._upscalers.forget()
            case _:
                _log.warning("Ignored a %s command.", type(command).__name__)

    def _run(self, command: RunJob | RunExtras) -> None:
        self._control.begin(command.job_id)
        self._models.begin_job()
        try:
            polls = command.resolved.settings.monitor.memmon_poll_rate
            with MemoryWatch(self._hardware.device, polls) as watch:
                if isinstance(command, RunExtras):
                    emit, room = self._channel.emit, self._models.make_room
                    run_extras(command, self._upscalers, self._control, emit, watch, room)
                else:
                    self._run_within_memory(command, watch, notices=())
        except Closed:
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a job dies of, the next one must run
            _log.exception("Job %s failed.", command.job_id)
            self._end_without_device()
            cause = sentence_for(error, self._hardware)
            self._upscalers.rest()
            self._models.recover()
            self._channel.emit(JobFailed(job_id=command.job_id, cause=cause))
        finally:
            self._control.end()
            self._channel.emit(self._models.facts())

    def _end_without_device(self) -> None:
        """End the process if its card is lost to it: the next one has a card again, and gets the job once more."""
        if is_lost(self._hardware.device):
            _log.critical("%s refuses all further work, so this engine ends.", self._hardware.device_name)
            logging.shutdown()
            os._exit(DEVICE_LOST)

    def _run_within_memory(self, command: RunJob, watch: MemoryWatch, notices: tuple[str, ...]) -> None:
        """Run a job; when the device runs out of memory, go on with the rest of it more thriftily."""
        delivered: dict[int, bytes] = {}

        def emit(event: Message) -> None:
            if isinstance(event, ImageReady) and event.kind == "image":
                delivered[event.index] = event.blobs[0]
            self._channel.emit(event)

        try:
            run_job(command, self._models, self._upscalers, self._control, self._hardware, emit, notices, watch)
            return
        except (RuntimeError, MemoryError) as error:
            notice = self._make_do() if is_out_of_memory(error) else None
            if notice is None:
                raise
        # Outside the handler, which would keep the failed pass's tensors alive.
        rest = command.model_copy(
            update={
                "done": (*command.done, *delivered),
                "pictures": (*command.pictures, *delivered),
                "blobs": (*command.blobs, *delivered.values()),
            }
        )
        self._run_within_memory(rest, watch, (*notices, notice))

    def _make_do(self) -> str | None:
        """After running out of memory: ask for less. What was done, as a sentence; None when nothing was left to do."""
        if self._models.drop_kept():
            return "Memory ran out: the checkpoints that were kept there were dropped, and the job went on."
        if self._models.stop_replaying():
            return "The card ran out of memory: steps are not replayed any more, and the job went on."
        mode = self._models.step_down()
        if mode is None:
            return None
        return f"The card ran out of memory: the job went on with --{mode}, and so will the next ones."
