"""Pictures on their way out: encoded with their infotext inside, on a thread of their own beside the step loop."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Final

from PIL import Image

from modules.engine.channel import Closed, Emit
from modules.engine.finished_pictures import FinishedPictures
from modules.features.stage import Extra
from modules.gallery import GRID_KINDS, INIT_PICTURE
from modules.generation.finishing import Finished, is_saved
from modules.generation.previews import encode_preview, small
from modules.parameters import ResolvedRequest, write_infotext
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import encode_picture
from modules.protocol import ImageReady, Preview

_log = logging.getLogger(__name__)

# Pictures that wait to be encoded take so much of main memory at most, in bytes; then the next one's maker waits too.
WAITING_BYTES: Final = 256_000_000

# What infotext says of a picture, by its index, that only the engine knows.
Facts = Callable[[int], dict[str, object]]


class PictureWriter:
    """Encodes the pictures of one job in order. `facts` is called late: the checkpoint's hash may be under way."""

    def __init__(self, job_id: str, resolved: ResolvedRequest, facts: Facts, emit: Emit) -> None:
        self._job_id = job_id
        self._resolved = resolved
        self._settings = resolved.settings
        self._facts = facts
        self._emit = emit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._pending: deque[tuple[Future[None], int]] = deque()
        self._preview: Future[None] | None = None
        self.notices: tuple[str, ...] = ()

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        self._check_preview()
        if error is None:
            self.wait()

    def wait(self) -> None:
        """Until every picture is out. Raises what went wrong with one of them."""
        while self._pending:
            self._pending.popleft()[0].result()

    def _submit(self, size: int, work: Callable[..., None], *arguments: object) -> None:
        """Have something done on the thread, once what waits there has room for `size` bytes more."""
        while self._pending and (
            self._pending[0][0].done() or sum(waiting for _, waiting in self._pending) + size > WAITING_BYTES
        ):
            self._pending.popleft()[0].result()
        self._pending.append((self._thread.submit(work, *arguments), size))

    def finished(
        self,
        finish: Callable[[], Finished],
        index: int,
        *,
        size: int,
        shown_at: tuple[int, int] | None = None,
        facts: Mapping[str, object] | None = None,
        store: FinishedPictures | None = None,
        save: bool = True,
    ) -> None:
        """Finish the `index`-th picture, put it into `store` and send it; with `shown_at`, (batch, step), as a preview
        too. `size` is what it takes of memory until then, in bytes; without `save` it is only shown.

        Waits while too much is under way. Raises what went wrong with an earlier picture.
        """
        self._submit(size, self._finish, finish, index, shown_at, facts or {}, store, save)

    def picture(
        self,
        image: Image.Image,
        index: int,
        *,
        kind: str = "image",
        save: bool = True,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Encode `image`, the `index`-th of the job, and send it; `facts` are this one's own."""
        self._submit(size_in_bytes(image), self._send, image, index, kind, save, facts or {})

    def init_picture(self, image: Image.Image) -> None:
        """Send the picture that the job starts from, as it came: a PNG with its own parameters."""
        self._submit(size_in_bytes(image), self._send_init, image)

    def extra(self, extra: Extra, *, save: bool) -> None:
        """Encode and send what a script made of its pictures, unless it comes encoded already."""
        size = size_in_bytes(extra.image)
        self._submit(size, self._send, extra.image, extra.index, extra.kind, save, extra.facts, extra)

    @property
    def free_for_preview(self) -> bool:
        """Whether the last preview is out, since a late one is worth nothing, and none has failed."""
        if self._preview is not None and self._preview.done():
            self._check_preview()
        return self._preview is None and not self.notices

    def preview(self, make: Callable[[], Image.Image], batch: int, step: int) -> None:
        """Make and send a preview, unless the last one is still being made."""
        if self.free_for_preview:
            self._preview = self._thread.submit(self._send_preview, make, batch, step)

    def _check_preview(self) -> None:
        """Say what went wrong with the last preview. No more of them are made then; the pictures are all the same."""
        error = self._preview.exception() if self._preview is not None else None
        self._preview = None
        if error is None or isinstance(error, Closed):
            return
        _log.error("A preview of job %s failed.", self._job_id, exc_info=error)
        text = str(error).strip().splitlines()
        cause = f"{type(error).__name__}: {text[0] if text else 'no message'}"
        self.notices = (f"Previews were left out after one failed with {cause}.",)

    def _finish(
        self,
        finish: Callable[[], Finished],
        index: int,
        shown_at: tuple[int, int] | None,
        facts: Mapping[str, object],
        store: FinishedPictures | None,
        save: bool,
    ) -> None:
        finished = finish()
        for kind, image in finished.beside.items():
            self._send(
                image,
                index,
                kind,
                is_saved(kind, self._settings.saved, saves_maps=self._settings.control.saves_maps),
                {},
            )
        if shown_at is not None:
            self._send_preview(partial(small, finished.picture), *shown_at)
        # Last: a picture that is there says that what belongs beside it is there too.
        self._send(finished.picture, index, "image", save, {**facts, **finished.facts}, store=store)

    def _send_preview(self, make: Callable[[], Image.Image], batch: int, step: int) -> None:
        blob, mime = encode_preview(make(), self._settings.previews.image_format)
        self._emit(Preview(job_id=self._job_id, batch=batch, step=step, mime=mime, blobs=(blob,)))

    def _send(
        self,
        image: Image.Image,
        index: int,
        kind: str,
        save: bool,
        facts: Mapping[str, object],
        extra: Extra | None = None,
        store: FinishedPictures | None = None,
    ) -> None:
        infotext = write_infotext(self._resolved, index, {**self._facts(index), **facts})
        if extra is not None and extra.encode is not None:
            data, extension = extra.encode(infotext)
        else:
            data, extension = encode_picture(image, self._settings.files, infotext, grid=kind in GRID_KINDS)
        if store is not None:
            store.add(index, image, data if extension == "png" else None)
        self._ready(image, index, kind, data, extension, infotext, save)

    def _send_init(self, image: Image.Image) -> None:
        infotext = str(image.info.get("parameters", ""))
        data, extension = encode_picture(image, ImageFileOptions(samples_format="png"), infotext)
        self._ready(image, 0, INIT_PICTURE, data, extension, infotext, True)

    def _ready(
        self, image: Image.Image, index: int, kind: str, data: bytes, extension: str, infotext: str, save: bool
    ) -> None:
        self._emit(
            ImageReady(
                job_id=self._job_id,
                index=index,
                kind=kind,
                extension=extension,
                infotext=infotext,
                seed=self._resolved.seeds[index],
                subseed=self._resolved.subseeds[index],
                width=image.width,
                height=image.height,
                save=save,
                blobs=(data,),
            )
        )


def size_in_bytes(picture: Image.Image) -> int:
    """What a decoded picture takes of main memory: Pillow holds four bytes a pixel, whether coloured or clear."""
    return 4 * picture.width * picture.height
