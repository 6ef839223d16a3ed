"""Pictures on their way out: encoded with their infotext inside, on a thread of their own beside the step loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType

from PIL import Image

from modules.engine.channel import Emit
from modules.gallery import GRID_KINDS, INIT_PICTURE
from modules.generation.finishing import Finished, is_saved
from modules.generation.previews import encode_preview, small
from modules.generation.scripts import Extra
from modules.parameters import ResolvedRequest, write_infotext
from modules.parameters.output_options import ImageFileOptions
from modules.pictures import encode_picture
from modules.protocol import ImageReady, Preview

Facts = Callable[[], dict[str, object]]


class PictureWriter:
    """Encodes the pictures of one job in order. `facts` is asked late: the checkpoint's hash may still be under way."""

    def __init__(self, job_id: str, resolved: ResolvedRequest, facts: Facts, emit: Emit) -> None:
        self._job_id = job_id
        self._resolved = resolved
        self._settings = resolved.settings
        self._facts = facts
        self._emit = emit
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._pending: list[Future[None]] = []
        self._preview: Future[None] | None = None

    def __enter__(self) -> PictureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if error is None:
            self.wait()

    def wait(self) -> None:
        """Until every picture is out. Raises what went wrong with one of them."""
        for future in self._pending:
            future.result()
        self._pending.clear()

    def finished(
        self,
        finish: Callable[[], Finished],
        index: int,
        *,
        shown_at: tuple[int, int] | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Finish the `index`-th picture and send it; with `shown_at`, (batch, step), as a preview too."""
        self._pending.append(self._thread.submit(self._finish, finish, index, shown_at, facts or {}))

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
        self._pending.append(self._thread.submit(self._send, image, index, kind, save, facts or {}))

    def init_picture(self, image: Image.Image) -> None:
        """Send the picture that the job starts from, to be kept as it came: a PNG with its own parameters."""
        self._pending.append(self._thread.submit(self._send_init, image))

    def extra(self, extra: Extra, *, save: bool) -> None:
        """Encode and send what a script made of its pictures, unless it comes encoded already."""
        self._pending.append(
            self._thread.submit(self._send, extra.image, extra.index, extra.kind, save, extra.facts, extra)
        )

    @property
    def free_for_preview(self) -> bool:
        """Whether the last preview is out: a late one is worth nothing."""
        return self._preview is None or self._preview.done()

    def preview(self, make: Callable[[], Image.Image | None], batch: int, step: int) -> None:
        """Make and send a preview, unless the last one is still being made."""
        if self.free_for_preview:
            self._preview = self._thread.submit(self._send_preview, make, batch, step)

    def _finish(
        self,
        finish: Callable[[], Finished],
        index: int,
        shown_at: tuple[int, int] | None,
        facts: Mapping[str, object],
    ) -> None:
        finished = finish()
        for kind, image in finished.beside.items():
            self._send(image, index, kind, is_saved(kind, self._settings.saved), {})
        if shown_at is not None:
            self._send_preview(partial(small, finished.picture), *shown_at)
        # Last: a picture that is there says that what belongs beside it is there too.
        self._send(finished.picture, index, "image", True, {**facts, **finished.facts})

    def _send_preview(self, make: Callable[[], Image.Image | None], batch: int, step: int) -> None:
        image = make()
        if image is None:
            return  # Its checkpoint made way for another meanwhile.
        blob, mime = encode_preview(image, self._settings.previews.image_format)
        self._emit(Preview(job_id=self._job_id, batch=batch, step=step, mime=mime, blobs=(blob,)))

    def _send(
        self,
        image: Image.Image,
        index: int,
        kind: str,
        save: bool,
        facts: Mapping[str, object],
        extra: Extra | None = None,
    ) -> None:
        infotext = write_infotext(self._resolved, index, {**self._facts(), **facts})
        if extra is not None and extra.encode is not None:
            data, extension = extra.encode(infotext)
        else:
            data, extension = encode_picture(image, self._settings.files, infotext, grid=kind in GRID_KINDS)
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
