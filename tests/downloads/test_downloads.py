"""Downloads from a site that cuts, lies, redirects, refuses and changes its files."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import pytest

from modules.catalogue import ModelFolders
from modules.downloads import Download, DownloadError, Downloads, RemoteFile
from modules.downloads.addresses import OnCivitai, OnHuggingFace
from modules.downloads.arrival import ModelPlaces
from modules.downloads.sites import Sites
from modules.downloads.web import Web
from tests.downloads import models
from tests.downloads.site import Hosted, Site, model_site

REPOSITORY = "someone/things"


@pytest.fixture(scope="module")
def running() -> Iterator[Site]:
    with model_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    running.files.clear()
    running.answers.clear()
    running.calls.clear()
    return running


class Installation:
    """Folders, a list of downloads, and what arrived."""

    def __init__(self, root: Path, site: Site, token: str = "") -> None:
        self.root, self.site, self.token = root, site, token
        self.arrived: list[tuple[str, str]] = []
        folders = ModelFolders(checkpoints=(root / "checkpoints",), loras=(root / "loras",), vaes=(root / "vaes",))
        self.places = ModelPlaces(folders, root / "tiny")
        self.web = Web(frozenset({site.url}), lambda origin: token if origin == site.url else "")
        self.sites = Sites(self.web, site.url, site.url)
        self.list = self.opened()

    def opened(self) -> Downloads:
        return Downloads(
            self.root / "downloads.json",
            self.web,
            self.places,
            arrived=lambda path, kind: self.arrived.append((path.name, kind)),
            waits=(0.01, 0.02, 0.02),
        )

    def fetch(self, name: str, kind: str = "") -> Download:
        found = self.sites.look_up(OnHuggingFace(REPOSITORY, name))
        return self.list.add(found.files[0], kind)

    def wait(self, *states: str, key: str = "", seconds: float = 20.0) -> Download:
        """The (last) download once it is in one of these states."""

        def there() -> Download | None:
            listed = [one for one in self.list.all() if key in {"", one.id}]
            return listed[-1] if listed and listed[-1].state in states else None

        return until(there, seconds)

    def files(self, folder: str = "") -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in (self.root / folder).rglob("*") if path.is_file())


T = TypeVar("T")


def until(there: Callable[[], T | None], seconds: float = 20.0) -> T:
    end = time.monotonic() + seconds
    while (found := there()) is None:
        assert time.monotonic() < end, "that took too long"
        time.sleep(0.01)
    return found


@pytest.fixture
def here(tmp_path: Path, site: Site) -> Iterator[Installation]:
    installation = Installation(tmp_path, site)
    yield installation
    installation.list.close()
    installation.web.close()


def test_a_file_goes_into_the_folder_of_its_kind(here: Installation, site: Site) -> None:
    data = models.lora()
    site.put(f"{REPOSITORY}/sub/a b (1).safetensors", Hosted(data))
    here.fetch("sub/a b (1).safetensors")
    done = here.wait("finished", "failed")
    assert (done.state, done.kind, done.received) == ("finished", "lora", len(data)), done.cause
    assert here.files() == ["downloads.json", "loras/a b (1).safetensors"]
    assert (here.root / "loras" / "a b (1).safetensors").read_bytes() == data
    assert here.arrived == [("a b (1).safetensors", "lora")]
    with pytest.raises(DownloadError, match=r"a b \(1\).safetensors is not fetched: it is there already, in"):
        here.fetch("sub/a b (1).safetensors", "lora")


def test_a_connection_that_breaks_again_and_again_fetches_each_byte_once(here: Installation, site: Site) -> None:
    data = models.lora()
    hosted = site.put(f"{REPOSITORY}/x.safetensors", Hosted(data, cut=len(data) // 4, busy=2))
    here.fetch("x.safetensors")
    assert here.wait("finished", "failed").state == "finished"
    assert hosted.ranges_wanted[:3] == ["", "", ""], "twice the site was busy"
    assert [int(one.split("=")[1][:-1]) for one in hosted.ranges_wanted[3:]] == [
        len(data) // 4 * n for n in range(1, 4)
    ]
    assert (here.root / "loras" / "x.safetensors").read_bytes() == data


def test_a_site_that_stays_away_is_a_sentence_and_what_came_is_kept(here: Installation, site: Site) -> None:
    data = models.lora()
    hosted = site.put(f"{REPOSITORY}/x.safetensors", Hosted(data, cut=1000))
    hosted.ranges = False
    download = here.fetch("x.safetensors")
    failed = here.wait("failed")
    assert failed.cause == (
        f"The connection broke after 1,000 of {len(data):,} bytes. What has come is kept: resume later."
    )
    assert Path(failed.partial).stat().st_size == 1000
    hosted.cut, hosted.ranges = 0, True
    here.list.resume(download.id)
    assert here.wait("finished", "failed").state == "finished"
    assert hosted.ranges_wanted[-1] == "bytes=1000-"


def test_a_file_that_changed_at_its_source_is_fetched_from_its_beginning(here: Installation, site: Site) -> None:
    old, new = models.lora(seed=1), models.lora(seed=2)
    hosted = site.put(f"{REPOSITORY}/x.safetensors", Hosted(old, cut=5000, sha256=hashlib.sha256(new).hexdigest()))
    hosted.ranges = False
    download = here.fetch("x.safetensors")
    here.wait("failed")
    hosted.data, hosted.cut, hosted.ranges = new, 0, True
    here.list.resume(download.id)
    assert here.wait("finished", "failed").state == "finished"
    assert (here.root / "loras" / "x.safetensors").read_bytes() == new


@pytest.mark.parametrize(
    ("hosted", "sentence"),
    [
        (Hosted(models.lora(), sha256="0" * 64), "x.safetensors came damaged: its SHA-256 begins with"),
        (Hosted(models.lora(), size=77), "77 bytes were announced, but the file at this address has"),
        (Hosted(models.lora(), html=True), "A web page came instead of the file"),
        (Hosted(b"<!doctype html>" * 9), "A web page came instead of x.safetensors"),
        (Hosted(models.lora()[:-40]), "x.safetensors is truncated: it has"),
        (Hosted(b"\xff" * 4000), "x.safetensors is not a safetensors file, though it is called one."),
        (
            Hosted(models.stable_diffusion_3()),
            "x.safetensors is a Stable Diffusion 3 model, which can't run here; it was not kept.",
        ),
        (Hosted(models.tiny_autoencoder()), "x.safetensors is of a kind that is not known here; it was not kept."),
        (
            Hosted(b"x", redirect="http://127.0.0.1:9/secret"),
            "127.0.0.1 is not contacted: files are fetched over https",
        ),
        (Hosted(b"x", redirect="https://127.0.0.1:9/secret"), "127.0.0.1 is not contacted: it is in the own network"),
        (Hosted(b"x", redirect="https://[::ffff:10.0.0.1]/a"), "::ffff:10.0.0.1 is not contacted: it is in the own"),
        (
            Hosted(b"x", redirect="file:///etc/passwd"),
            "The server is not contacted: files are fetched over https only.",
        ),
        (Hosted(b"x", token="secret"), "127.0.0.1 gives this file to known people only: accept its terms"),
    ],
    ids=["hash", "size", "html", "page", "cut", "noise", "sd3", "unknown", "http", "local", "mapped", "file", "gated"],
)
def test_what_is_no_good_is_one_sentence_and_leaves_nothing(
    here: Installation, site: Site, hosted: Hosted, sentence: str
) -> None:
    site.put(f"{REPOSITORY}/x.safetensors", hosted)
    here.fetch("x.safetensors")
    failed = here.wait("failed", "finished")
    assert failed.state == "failed" and sentence in failed.cause, failed.cause
    assert "part" not in failed.cause
    here.list.remove(failed.id)
    assert here.files() == ["downloads.json"]


def test_redirects_without_end_end(here: Installation, site: Site) -> None:
    address = f"{site.url}/{REPOSITORY}/resolve/main/x.safetensors"
    site.put(f"{REPOSITORY}/x.safetensors", Hosted(b"x", redirect=address))
    here.fetch("x.safetensors")
    assert "sends from one address to the next without end" in here.wait("failed").cause


def test_a_file_of_no_use_is_refused_before_all_of_it_came(here: Installation, site: Site) -> None:
    hosted = site.put(
        f"{REPOSITORY}/x.safetensors", Hosted(models.stable_diffusion_3(), chunked_pause=threading.Event(), cut=400_000)
    )
    here.fetch("x.safetensors")
    assert "can't run here" in here.wait("failed").cause
    assert hosted.chunked_pause is not None
    hosted.chunked_pause.set()


def test_a_pickle_with_code_is_refused_by_name(
    here: Installation, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.put(f"{REPOSITORY}/x.ckpt", Hosted(models.harmful_pickle()))
    here.fetch("x.ckpt")
    failed = here.wait("failed", "finished")
    assert failed.state == "failed" and "x.ckpt" in failed.cause and "print" in failed.cause, failed.cause
    assert here.files() == ["downloads.json"]
    assert "harm" not in capsys.readouterr().out


def test_a_kind_that_tensors_do_not_say_is_chosen(here: Installation, site: Site) -> None:
    site.put(f"{REPOSITORY}/taesd_decoder.safetensors", Hosted(models.tiny_autoencoder()))
    here.fetch("taesd_decoder.safetensors", "tiny autoencoder")
    assert here.wait("finished", "failed").state == "finished"
    assert here.files("tiny") == ["tiny/taesd_decoder.safetensors"]


def test_a_token_goes_to_its_own_site_only(tmp_path: Path, site: Site) -> None:
    with model_site() as other:
        elsewhere = other.put("/x", Hosted(models.lora()))
        own = site.put(f"{REPOSITORY}/x.safetensors", Hosted(b"", sha256="", size=0, redirect=f"{other.url}/x"))
        here = Installation(tmp_path, site, token="secret")
        here.web.close()
        here.web = Web(frozenset({site.url, other.url}), here.web.token_for)
        here.sites, here.list = Sites(here.web, site.url, site.url), here.opened()
        here.fetch("x.safetensors")
        assert here.wait("finished", "failed").state == "finished"
        here.list.close()
        here.web.close()
    assert own.tokens == ["Bearer secret"]
    assert elsewhere.tokens == [""]
    assert "secret" not in (tmp_path / "downloads.json").read_text()


def test_pause_resume_and_remove(here: Installation, site: Site) -> None:
    data = models.lora()
    gate = threading.Event()
    hosted = site.put(f"{REPOSITORY}/x.safetensors", Hosted(data, chunked_pause=gate, cut=len(data) // 2))
    first = here.fetch("x.safetensors")
    until(lambda: here.list.all()[0].received >= len(data) // 2 or None)
    site.put(f"{REPOSITORY}/y.safetensors", Hosted(models.lora(seed=3)))
    with pytest.raises(DownloadError, match=r"x.safetensors is on the list already"):
        here.fetch("x.safetensors")
    here.list.pause(first.id)
    gate.set()
    second = here.fetch("y.safetensors")
    assert here.wait("finished", key=second.id).kind == "lora"
    paused = here.list.all()[0]
    assert paused.state == "paused"
    hosted.chunked_pause = None
    hosted.cut = 0
    here.list.resume(first.id)
    assert here.wait("finished", "failed", key=first.id).state == "finished"
    here.list.remove(first.id)
    assert "loras/x.safetensors" in here.files(), "what is done is only taken off the list"
    with pytest.raises(DownloadError, match="not on the list"):
        here.list.resume(first.id)


def test_removing_one_that_runs_takes_its_part_off_the_disk(here: Installation, site: Site) -> None:
    data = models.lora()
    gate = threading.Event()
    site.put(f"{REPOSITORY}/x.safetensors", Hosted(data, chunked_pause=gate, cut=len(data) // 2))
    download = here.fetch("x.safetensors")
    until(lambda: here.list.all()[0].received or None)
    here.list.remove(download.id)
    gate.set()
    until(lambda: here.files() == ["downloads.json"] or None)


def test_a_new_server_finds_the_list_paused_and_goes_on(here: Installation, site: Site) -> None:
    data = models.lora()
    hosted = site.put(f"{REPOSITORY}/x.safetensors", Hosted(data, cut=len(data) // 2, ranges=False))
    here.list = here.opened()
    here.fetch("x.safetensors")
    until(lambda: here.list.all()[0].received or None)
    here.list.close()
    hosted.cut, hosted.ranges = 0, True
    before = len(hosted.ranges_wanted)
    here.list = here.opened()
    (found,) = here.list.all()
    assert found.state in {"paused", "failed"} and found.received > 0
    time.sleep(0.1)
    assert len(hosted.ranges_wanted) == before, "nothing is fetched without a click"
    here.list.resume(found.id)
    assert here.wait("finished", "failed").state == "finished"


def test_a_damaged_list_is_set_aside(here: Installation) -> None:
    (here.root / "downloads.json").write_text('{"downloads": [{"id": 3}]}')
    again = here.opened()
    assert again.all() == []
    assert "can't be read and begins anew" in again.notice
    assert (here.root / "downloads.broken").is_file()


def test_a_disk_without_room_is_said_before_anything_is_written(
    here: Installation, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put(f"{REPOSITORY}/x.safetensors", Hosted(models.lora()))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=200 * 2**20))
    here.fetch("x.safetensors")
    assert "free some space, then resume" in here.wait("failed").cause
    assert here.files() == ["downloads.json"]


def test_what_civitai_says_is_kept_beside_the_file(here: Installation, site: Site) -> None:
    data = models.lora()
    site.put("/files/5", Hosted(data))
    site.put("/preview.png", Hosted(models.picture()))
    version = {
        "id": 7,
        "modelId": 5,
        "name": "v2",
        "trainedWords": ["ink style", "brush"],
        "baseModel": "SD 1.5",
        "model": {"name": "Ink", "type": "LORA"},
        "images": [
            {"url": f"{site.url}/adult.png", "nsfwLevel": 16, "type": "image"},
            {"url": f"{site.url}/preview.png", "nsfwLevel": 1, "type": "image"},
        ],
        "files": [
            {"name": "notes.txt", "downloadUrl": f"{site.url}/files/4"},
            {
                "name": "ink.safetensors",
                "type": "Model",
                "primary": True,
                "hashes": {"SHA256": hashlib.sha256(data).hexdigest().upper()},
                "downloadUrl": f"{site.url}/files/5",
            },
        ],
    }
    site.answers["/api/v1/model-versions/7"] = version
    found = here.sites.look_up(OnCivitai(version=7))
    assert (found.title, [one.name for one in found.files]) == ("Ink v2", ["ink.safetensors"])
    here.list.add(found.files[0])
    done = here.wait("finished", "failed")
    assert (done.state, done.cause) == ("finished", "")
    names = ["ink.civitai.info", "ink.json", "ink.preview.png", "ink.safetensors"]
    assert here.files("loras") == [f"loras/{name}" for name in names]
    noted = json.loads((here.root / "loras" / "ink.json").read_text())
    assert noted == {"sd version": "SD1", "activation text": "ink style, brush"}
    assert f"{site.url}/adult.png" not in site.calls


def test_a_name_that_leads_elsewhere_stays_in_its_folder(here: Installation, site: Site) -> None:
    site.put("/f", Hosted(models.lora()))
    here.list.add(RemoteFile("../../evil.safetensors", f"{site.url}/f"))
    assert here.wait("finished", "failed").state == "finished"
    assert here.files("loras") == ["loras/_._.._evil.safetensors"]
    for name in ("x.exe", "con.safetensors", "a" * 300 + ".safetensors"):
        with pytest.raises(DownloadError):
            here.list.add(RemoteFile(name, f"{site.url}/f"))
