"""An Extras job: picture after picture through the operations of the request. Bad ones are named and skipped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from PIL import Image

from modules.engine.channel import Emit
from modules.engine.control import JobControl
from modules.engine.upscalers import UpscalerKeeper
from modules.features.controlnet.preprocessors.alone import MadeMap, preprocessed, rendered
from modules.features.controlnet.preprocessors.run import Preprocessors
from modules.hardware.memory_watch import MemoryWatch
from modules.parameters import RequestError
from modules.parameters.extras_request import ExtrasRequest, PreprocessRequest
from modules.pictures import PictureError, encode_picture, read_metadata
from modules.pictures.enlarging import Once
from modules.pictures.opening import MOST_BYTES, open_picture
from modules.pictures.postprocessing import Result, Tools, postprocess
from modules.protocol import ImageReady, JobFinished, JobStarted, RunExtras, StepDone
from modules.sampling import Interrupted

MOST_NAMED: Final = 20
# Progress of a picture is reported in this many steps at most, however many tiles it has.
STEPS: Final = 100


class AllBad(RuntimeError):
    """Not one picture of the job could be worked on. The message is the first one's sentence."""


def run_extras(
    command: RunExtras,
    upscalers: UpscalerKeeper,
    control: JobControl,
    emit: Emit,
    watch: MemoryWatch,
    make_room: Callable[[], bool],
) -> None:
    """Work through the pictures that are not done yet. Raises RequestError, ModelFileError, and AllBad."""
    started = time.monotonic()
    request = command.resolved.request.extras
    if request is None:
        raise RequestError("An Extras job came without saying what to do: submit it again.")
    emit(JobStarted(job_id=command.job_id, images=len(command.files)))
    upscalers.make_room = make_room
    try:
        notices = _Extras(command, request, upscalers, control, emit).run()
    finally:
        upscalers.make_room = lambda: False
        upscalers.leave_device()
    seconds = time.monotonic() - started
    emit(
        JobFinished(
            job_id=command.job_id,
            seconds=seconds,
            interrupted=control.stopped,
            notices=notices,
            memory=watch.peak(),
        )
    )


class _Extras:
    def __init__(
        self, command: RunExtras, request: ExtrasRequest, upscalers: UpscalerKeeper, control: JobControl, emit: Emit
    ) -> None:
        self._command = command
        self._request = request
        self._control = control
        self._emit = emit
        self._upscalers = upscalers
        self._settings = command.resolved.settings
        self._index = 0
        self._before = 0.0
        self._applications = max(1, len(request.upscalers))
        self._application = 0
        self._notices: dict[str, None] = {}
        self._tools = Tools(lambda name: self._upscaler(upscalers, name), self._restored, upscalers.faces.boxes)
        # Before the first picture: an upscaler that is not here is nobody's picture's fault.
        for name in request.upscalers:
            self._upscaler(upscalers, name)
        self._application = 0
        self._restorers = {
            name: upscalers.faces.restorer_for(name, request.codeformer_weight) for name in request.restorers
        }

    def run(self) -> tuple[str, ...]:
        bad: list[str] = []
        notices: list[str] = []
        for index, file in enumerate(self._command.files):
            if index in self._command.done:
                continue
            if self._control.stopped:
                break
            self._index, self._application = index, 0
            self._report(0.0)
            try:
                notices += self._one(index, Path(file))
                self._report(1.0)
            except Interrupted:
                pass
            except PictureError as error:
                bad.append(str(error))
                self._report(1.0)
            self._control.end_batch()
        if bad and len(bad) == len(self._command.files):
            raise AllBad(bad[0] if len(bad) == 1 else f"None of the {len(bad)} pictures could be used. {bad[0]}")
        if not self._request.show and not bad:
            where = self._request.output_dir or "the folder of Extras pictures"
            notices.append(f"{len(self._command.files)} pictures were worked on; the results are in {where}.")
        more = [f"{len(bad) - MOST_NAMED} more could not be used."] if len(bad) > MOST_NAMED else []
        return tuple(dict.fromkeys([*bad[:MOST_NAMED], *more, *notices]))

    def _one(self, index: int, file: Path) -> tuple[str, ...]:
        name = self._request.names[index] if index < len(self._request.names) else file.name
        if self._control.leave_batch:
            raise Interrupted
        data = _read(file, name)
        self._notices.clear()
        with torch.inference_mode():
            picture = open_picture(data, name)
            if self._request.preprocess is not None:
                made = self._preprocessed(picture, self._request.preprocess, index)
                self._deliver(index, Result((("image", made.picture),), {}), "", made.poses)
                return ()
            result = postprocess(picture, self._request, self._tools)
        self._deliver(index, result, read_metadata(data).infotext)
        return tuple(f"{name}: {notice}" for notice in (*result.notices, *self._notices))

    def _deliver(self, index: int, result: Result, infotext: str, described: str = "") -> None:
        """`described` is reported with the picture instead of its infotext, and not written into its file."""
        chunks = {"postprocessing": result.note, "extras": result.note} if result.note else None
        text = described or _with_note(infotext, result.note)
        # The first last: once it is saved, the picture counts as done.
        for kind, image in reversed(result.pictures):
            data, extension = encode_picture(image, self._settings.files, infotext, chunks=chunks)
            self._emit(
                ImageReady(
                    job_id=self._command.job_id,
                    index=index,
                    kind=kind,
                    extension=extension,
                    infotext=text,
                    seed=0,
                    subseed=0,
                    width=image.width,
                    height=image.height,
                    blobs=(data,),
                )
            )

    def _preprocessed(self, picture: Image.Image, wanted: PreprocessRequest, index: int) -> MadeMap:
        if wanted.poses:
            return rendered(wanted.poses[index])
        upscalers = self._upscalers
        preprocessors = Preprocessors(upscalers.folders.annotators, upscalers.features, upscalers.on_device)
        try:
            return preprocessed(picture, wanted, preprocessors)
        except torch.OutOfMemoryError:
            if not upscalers.make_room():
                raise
        return preprocessed(picture, wanted, preprocessors)

    def _upscaler(self, upscalers: UpscalerKeeper, name: str) -> Once:
        self._application += 1
        once = upscalers.once(name, self._settings.upscaling, self._watch, remember=True)
        if once is None:
            raise PictureError(f"The upscaler {name!r} leaves a picture as it is.")
        return once

    def _restored(self, name: str, image: Image.Image, weight: float) -> Image.Image:
        if self._control.leave_batch:
            raise Interrupted
        restored = self._restorers[name](image)
        if restored is None:
            self._notices["no face was found."] = None
        return restored or image

    def _watch(self, done: int, total: int) -> None:
        if self._control.leave_batch:
            raise Interrupted
        # An upscaler may be applied up to three times; how often is not known before it is loaded.
        share = (max(0, self._application - 1) + done / total) / self._applications
        if done % max(1, total // STEPS) == 0:
            self._report(min(share, 0.99))

    def _report(self, share: float) -> None:
        count = len(self._command.files)
        fraction = max(self._before, (self._index + share) / count)
        self._before = fraction
        self._emit(
            StepDone(
                job_id=self._command.job_id,
                batch=self._index,
                step=min(self._index + 1, count),
                steps=count,
                fraction=fraction,
            )
        )


def _with_note(infotext: str, note: str) -> str:
    """The text under the picture: still an infotext that can be read, with what was done at its end."""
    if not (infotext and note):
        return infotext or note
    return f"{infotext}, {note}" if "Steps: " in infotext.rsplit("\n", 1)[-1] else f"{infotext}\n{note}"


def _read(file: Path, name: str) -> bytes:
    """The bytes of a picture's file. Raises PictureError naming it."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise PictureError(f"{name} is larger than {MOST_BYTES // 2**20} MiB: make the picture smaller first.")
        return file.read_bytes()
    except OSError as error:
        raise PictureError(f"{name} can't be read: {error.strerror or error}.") from error
