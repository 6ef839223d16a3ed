"""Every moment at which a server can die around a picture, and what the next one makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from modules.files import SaveError
from modules.gallery import Gallery
from modules.jobs import Job
from modules.jobs.database import prepare
from modules.jobs.picture_files import PictureFiles
from modules.jobs.saving import ImageSaver, SavingError
from modules.jobs.store import JobStore
from modules.parameters import GenerationRequest
from modules.protocol import ImageReady
from modules.settings import OptionStore, Paths, parse_flags
from tests.jobs.fake_engine import picture
from tests.jobs.helpers import FolderPictureStore, present, resolved


class Death(BaseException):
    """The server dies here."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    prepare(tmp_path / "webui.db")
    with closing(JobStore(tmp_path / "webui.db")) as opened:
        request = GenerationRequest(prompt="a cat", seed=7, n_iter=2)
        opened.add(Job("one", "waiting", request, resolved(request)))
        opened.claim_next()
        yield opened


def ready(index: int = 0, *, extension: str = "png", save: bool = True, kind: str = "image") -> ImageReady:
    data = picture(7 + index, 8, 8, "a cat")
    return ImageReady(
        job_id="one", index=index, kind=kind, extension=extension, infotext="a cat", seed=7 + index, subseed=1,
        width=8, height=8, save=save, blobs=(data,),
    )  # fmt: skip


def test_a_death_before_the_file_is_written(store: JobStore, tmp_path: Path) -> None:
    files = FolderPictureStore(tmp_path / "outputs")
    saver = ImageSaver(store, files)

    def die(path: Path) -> None:
        raise Death

    files.before_write = die
    with pytest.raises(Death):
        saver.save(present(store.get("one")), ready())
    promised = store.reserved()[0].saved.path
    (promised.parent / ".saving-0123456789abcdef.tmp").write_bytes(b"half a pic")
    assert saver.settle() == (0, 1)
    assert list(promised.parent.iterdir()) == []
    files.before_write = lambda path: None
    # Another picture took the number meanwhile; the promise holds all the same.
    (promised.parent / "00007-1.png").touch()
    assert present(saver.save(present(store.get("one")), ready())).path == promised


def test_a_death_after_the_file_is_written(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = ImageSaver(store, FolderPictureStore(tmp_path / "outputs"))

    def die(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patch, pytest.raises(Death):
        patch.setattr(store, "image_saved", die)
        saver.save(present(store.get("one")), ready())
    assert present(store.get("one")).images == ()
    assert saver.settle() == (1, 0)
    (image,) = present(store.get("one")).images
    assert image.path.read_bytes() == ready().blobs[0]
    assert saver.save(present(store.get("one")), ready()) is None


def test_a_name_that_a_stranger_took_is_left_to_him(store: JobStore, tmp_path: Path) -> None:
    files = FolderPictureStore(tmp_path / "outputs")
    saver = ImageSaver(store, files)
    files.before_write = lambda path: (_ for _ in ()).throw(Death)
    with pytest.raises(Death):
        saver.save(present(store.get("one")), ready())
    stranger = store.reserved()[0].saved.path
    stranger.write_bytes(b"mine")
    assert saver.settle() == (0, 1)
    files.before_write = lambda path: None
    image = saver.save(present(store.get("one")), ready())
    assert image is not None and image.path != stranger
    assert stranger.read_bytes() == b"mine"
    assert present(store.get("one")).images == (image,)


def test_a_file_that_cannot_be_written_leaves_no_row(store: JobStore, tmp_path: Path) -> None:
    files = FolderPictureStore(tmp_path / "outputs")
    files.fail_with = SaveError("00000-7.png was not saved: the disk is full.")
    with pytest.raises(SavingError, match="disk is full"):
        ImageSaver(store, files).save(present(store.get("one")), ready())
    assert store.reserved() == []
    assert store.image("one", 0, "image") is None


# With the real gallery


@pytest.fixture
def files(tmp_path: Path) -> PictureFiles:
    paths = Paths.from_flags(parse_flags(["--data-dir", str(tmp_path)]))
    return PictureFiles(Gallery(paths, OptionStore(paths.config_file)), tmp_path / "cache" / "jobs")


def test_the_gallery_names_pictures_and_keeps_the_last_infotext(
    store: JobStore, files: PictureFiles, tmp_path: Path
) -> None:
    saver = ImageSaver(store, files)
    first, second = (saver.save(present(store.get("one")), ready(index)) for index in (0, 1))
    grid = saver.save(present(store.get("one")), ready(kind="grid"))
    assert first is not None and second is not None and grid is not None
    assert first.path.name == "00000-7.png"
    assert second.path.name == "00001-8.png"
    assert grid.path.name.startswith("grid-0000")
    assert first.path.is_relative_to(tmp_path / "outputs" / "txt2img-images")
    assert (tmp_path / "params.txt").read_text() == "a cat"
    assert [image.kind for image in present(store.get("one")).images] == ["image", "grid", "image"]


def test_a_job_decides_what_lies_beside_its_pictures(store: JobStore, files: PictureFiles) -> None:
    job = store.get("one")
    assert job is not None
    job = replace(job, resolved=job.resolved.model_copy(update={"options": {"save_txt": True}}))
    image = ImageSaver(store, files).save(job, ready())
    assert image is not None
    assert image.path.with_suffix(".txt").read_text() == "a cat\n"


def test_pictures_only_to_be_returned_stay_out_of_the_outputs(
    store: JobStore, files: PictureFiles, tmp_path: Path
) -> None:
    image = ImageSaver(store, files).save(present(store.get("one")), ready(save=False))
    assert image is not None
    assert image.path == tmp_path / "cache" / "jobs" / "one" / "0-image.png"
    assert image.cached
    assert not (tmp_path / "outputs").exists()


def test_a_name_taken_at_the_last_moment_is_replaced_by_the_next(
    store: JobStore, files: PictureFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = PictureFiles.write

    def overtaken(self: PictureFiles, path: Path, job: Job, image: ImageReady) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a stranger's")
        return write(self, path, job, image)

    monkeypatch.setattr(PictureFiles, "write", overtaken)
    image = ImageSaver(store, files).save(present(store.get("one")), ready())
    assert image is not None
    assert image.path.read_bytes() == ready().blobs[0]
    assert present(store.get("one")).images == (image,)
    assert store.reserved() == []


@pytest.mark.parametrize("pattern", ["[prompt]", "[seed]", "same"])
@pytest.mark.parametrize("action", ["Replace", "Add number suffix"])
def test_a_job_never_replaces_its_own_pictures(store: JobStore, files: PictureFiles, pattern: str, action: str) -> None:
    options = {
        "save_images_add_number": False,
        "samples_filename_pattern": pattern,
        "save_images_replace_action": action,
        "save_to_dirs": False,
    }
    job = store.get("one")
    assert job is not None
    resolved = job.resolved.model_copy(update={"options": options, "seeds": (7, 7, 7)})
    job = replace(job, resolved=resolved)
    saver = ImageSaver(store, files)
    images = [saver.save(job, ready(index)) for index in range(3)]
    paths = [image.path for image in images if image is not None]
    assert len(set(paths)) == 3
    assert [path.read_bytes() for path in paths] == [ready(index).blobs[0] for index in range(3)]
    assert len(present(store.get("one")).images) == 3


def test_another_job_replaces_a_picture_where_the_settings_say_so(store: JobStore, files: PictureFiles) -> None:
    options = {
        "save_images_add_number": False,
        "samples_filename_pattern": "same",
        "save_images_replace_action": "Replace",
    }
    first = store.get("one")
    assert first is not None
    job = replace(first, resolved=first.resolved.model_copy(update={"options": options}))
    before = ImageSaver(store, files).save(job, ready())
    store.end("one", "finished")
    store.add(Job("two", "waiting", job.request, job.resolved))
    after = ImageSaver(store, files).save(replace(job, id="two"), ready(1))
    assert before is not None and after is not None
    assert after.path == before.path
