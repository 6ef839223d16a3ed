"""A job's own pictures: stored once, found again, never mistaken, and gone with the last job that needs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from modules.jobs import JobError
from modules.jobs.engine_log import LONGEST_LINE, EngineLog
from modules.jobs.inputs import InputStore, references, stored
from modules.jobs.lock import AlreadyRunning, FolderLock, FolderUnusable
from modules.parameters import GenerationRequest, RequestError


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strategies.binary(max_size=100))
def test_what_goes_in_comes_out(tmp_path: Path, data: bytes) -> None:
    store = InputStore(tmp_path)
    digest = store.put(data)
    assert store.put(data) == digest
    assert store.get(digest) == data
    assert digest in store


def test_only_digests_are_looked_up(tmp_path: Path) -> None:
    store = InputStore(tmp_path / "inputs")
    (tmp_path / "secret").write_text("secret")
    for name in ("../secret", "secret", "", "a" * 63, "A" * 64):
        assert name not in store


def test_a_picture_that_changed_on_disk_is_refused(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    digest = store.put(b"a cat")
    (tmp_path / digest[:2] / digest).write_bytes(b"a dog")
    with pytest.raises(JobError, match="has changed on disk"):
        store.get(digest)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "inputs").touch()
    with pytest.raises(JobError, match=r"can't be stored in .*inputs"):
        InputStore(tmp_path / "inputs").put(b"a cat")


def test_pruning_keeps_what_is_in_use(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    cat, dog = store.put(b"a cat"), store.put(b"a dog")
    (tmp_path / cat[:2] / "incoming-half").touch()
    assert store.prune({cat}) == 2
    assert cat in store and dog not in store


def test_references_become_digests(tmp_path: Path) -> None:
    store = InputStore(tmp_path)
    request = GenerationRequest(init_images=("a", "b", "a"), mask="b")
    assert references(request) == ("a", "b")
    with_digests = stored(request, {"a": b"cat", "b": b"dog"}, store)
    cat, dog = with_digests.init_images[:2]
    assert (with_digests.init_images, with_digests.mask) == ((cat, dog, cat), dog)
    assert stored(with_digests, {}, store) == with_digests
    with pytest.raises(RequestError, match="'a'"):
        stored(request, {}, store)
    plain = GenerationRequest(prompt="no pictures")
    assert stored(plain, {}, store) is plain


def test_two_servers_cannot_share_a_folder(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "data" / "webui.lock")
    with pytest.raises(AlreadyRunning, match="--data-dir"):
        FolderLock(tmp_path / "data" / "webui.lock")
    lock.release()
    FolderLock(tmp_path / "data" / "webui.lock").release()


def test_the_engine_log_keeps_the_last_lines_and_survives_any_bytes(tmp_path: Path) -> None:
    log = EngineLog(tmp_path)
    read, written = tmp_path / "out", b"\n".join([b"line %d" % n for n in range(500)] + [b"\xff\xfe", b"x" * 5000])
    read.write_bytes(written)
    log.copy(read.open("rb"))
    log.close()
    assert len(log.tail()) == 200
    assert log.tail(3) == ("\ufffd\ufffd", "x" * LONGEST_LINE, "x" * (5000 - LONGEST_LINE))
    assert (tmp_path / "engine.log").read_text().count("\n") == 503


def test_without_a_place_for_the_log_there_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    (tmp_path / "out").write_text("hello\n")
    log = EngineLog(tmp_path / "log")
    log.copy((tmp_path / "out").open("rb"))
    assert log.tail() == ("hello",)
    log.close()


def test_a_data_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderUnusable, match=r"The data folder .* can't be written \(.*\): check its owner, or name"):
        FolderLock(tmp_path / "file" / "webui.lock")
