"""Between the values of Python and the columns of SQLite."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.jobs.job import ENDED, Job, SavedImage, Spent
from modules.parameters import GenerationRequest, ResolvedRequest
from modules.protocol import MemoryPeak

Parsed = tuple[GenerationRequest, ResolvedRequest]


@dataclass(frozen=True, slots=True)
class ImageRow:
    """A picture's row: what is handed out, and the SHA-256 of the file that was meant."""

    job_id: str
    saved: SavedImage
    sha256: str
    complete: bool = False


def values_of_job(job: Job) -> dict[str, Any]:
    """Column values of a new row, its place in the queue left out."""
    return {
        "id": job.id,
        "state": job.state,
        "request": job.request.model_dump_json(),
        "resolved": job.resolved.model_dump_json(),
        "client": job.client,
        "user": job.user,
        "task_id": job.task_id,
        "save": int(job.save),
        "created": job.created,
        "notices": json.dumps(job.notices),
    }


class RequestCache:
    """Parsed requests of the rows last read, by job id: a page that polls a long queue must not parse it each time.

    A job's request never changes. One takes some 16 kB: all of the waiting jobs are cached, of the ended ones only as
    many as a page looks at again and again. Very long ones are parsed anew, which takes a fifteenth of a millisecond.
    """

    def __init__(self, active: int = 1024, ended: int = 64, longest: int = 20_000) -> None:
        self._most = {False: active, True: ended}
        self._longest = longest
        self._lock = threading.Lock()
        self._parsed: dict[bool, OrderedDict[str, Parsed]] = {False: OrderedDict(), True: OrderedDict()}

    def of(self, row: sqlite3.Row) -> Parsed:
        ended = row["state"] in ENDED
        with self._lock:
            # Who has ended since leaves its place among the waiting ones.
            found = self._parsed[not ended].pop(row["id"], None) or self._parsed[ended].get(row["id"])
        as_requested, applies = row["request"], row["resolved"]
        parsed = found or (
            GenerationRequest.model_validate_json(as_requested),
            ResolvedRequest.model_validate_json(applies),
        )
        if len(as_requested) + len(applies) <= self._longest:
            with self._lock:
                cached = self._parsed[ended]
                cached[row["id"]] = parsed
                cached.move_to_end(row["id"])
                if len(cached) > self._most[ended]:
                    cached.popitem(last=False)
        return parsed


def job_of_row(row: sqlite3.Row, images: Sequence[SavedImage], requests: RequestCache) -> Job:
    request, resolved = requests.of(row)
    return Job(
        id=row["id"],
        state=row["state"],
        request=request,
        resolved=resolved,
        images=tuple(images),
        cause=row["cause"],
        notices=notices_of(row),
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        attempts=row["attempts"],
        client=row["client"],
        user=row["user"],
        task_id=row["task_id"],
        save=bool(row["save"]),
        spent=_spent(row),
    )


def notices_of(row: sqlite3.Row) -> tuple[str, ...]:
    """A job's notices; none where their column is damaged, which is no reason to lose the job."""
    try:
        notices = json.loads(row["notices"])
    except (ValueError, TypeError):
        return ()
    return tuple(map(str, notices)) if isinstance(notices, list) else ()


def _spent(row: sqlite3.Row) -> Spent | None:
    if row["seconds"] is None:
        return None
    return Spent(row["seconds"], MemoryPeak.model_validate_json(row["memory"]) if row["memory"] else None)


def values_of_image(job_id: str, image: ImageRow) -> dict[str, Any]:
    saved = image.saved
    return {
        "job_id": job_id,
        "number": saved.index,
        "kind": saved.kind,
        "path": str(saved.path),
        # The column has its name from the first version; another is not worth a migration.
        "kept": int(not saved.cached),
        "sha256": image.sha256,
        "infotext": saved.infotext,
        "seed": str(saved.seed),
        "subseed": str(saved.subseed),
        "width": saved.width,
        "height": saved.height,
    }


def image_of_row(row: sqlite3.Row) -> ImageRow:
    saved = SavedImage(
        index=row["number"],
        kind=row["kind"],
        path=Path(row["path"]),
        infotext=row["infotext"],
        seed=int(row["seed"]),
        subseed=int(row["subseed"]),
        width=row["width"],
        height=row["height"],
        cached=not row["kept"],
    )
    return ImageRow(row["job_id"], saved, row["sha256"], row["state"] == "saved")
