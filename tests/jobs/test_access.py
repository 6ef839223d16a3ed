"""Who may see and change a job, by logins, flags and the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.api.queue import queue_of
from modules.jobs import UnknownJob, Viewer
from modules.jobs.access import Sharing, may_access, sharing_of
from modules.jobs.job import Job
from modules.jobs.viewed import ViewedJobs
from modules.parameters import GenerationRequest
from modules.settings import OPTIONS
from tests.jobs.helpers import PATIENCE, House, resolved

PHONE, DESKTOP = Viewer(client="phone"), Viewer(client="desktop")


def job(client: str | None = None, user: str | None = None) -> Job:
    request = GenerationRequest(prompt="secret")
    return Job("a", "waiting", request, resolved(request), client=client, user=user)


@pytest.mark.parametrize(
    ("users", "exposed", "setting", "sharing"),
    [
        ((), False, "Automatic", "everybody"),
        (("ann",), False, "Automatic", "everybody"),
        (("ann",), True, "Automatic", "everybody"),
        ((), True, "Automatic", "browser"),
        ((), True, "Everybody", "everybody"),
        ((), False, "The browser that started them", "browser"),
        (("ann",), True, "The browser that started them", "browser"),
        (("ann", "bob"), False, "Automatic", "user"),
        (("ann", "bob"), False, "Everybody", "user"),
        (("ann", "ann"), False, "Automatic", "everybody"),
    ],
)
def test_among_whom_jobs_are_shared(users: tuple[str, ...], exposed: bool, setting: str, sharing: Sharing) -> None:
    assert setting in (OPTIONS["queue_sharing"].choices or ())
    assert sharing_of(users, exposed=exposed, setting=setting) == sharing


def test_a_persons_phone_and_desktop_are_one_person() -> None:
    assert may_access(job(client="phone"), DESKTOP, "everybody")


def test_browsers_that_may_be_strangers_see_their_own_jobs_and_those_of_programs() -> None:
    assert may_access(job(client="phone"), PHONE, "browser")
    assert not may_access(job(client="phone"), DESKTOP, "browser")
    assert may_access(job(client="api"), DESKTOP, "browser")
    assert may_access(job(), DESKTOP, "browser")


def test_a_login_sees_its_own_jobs_from_every_browser_and_program() -> None:
    ann, bob = Viewer("ann", "phone"), Viewer("bob", "phone")
    assert may_access(job("desktop", "ann"), ann, "user")
    assert may_access(job("api", "ann"), Viewer("ann"), "user")
    assert not may_access(job("phone", "ann"), bob, "user")
    assert not may_access(job("api", "ann"), bob, "user")
    assert not may_access(job("api", "ann"), Viewer(), "user")
    assert may_access(job("phone"), bob, "user"), "it is from a time without logins"


def test_the_queue_applies_the_rule_and_remembers_the_user(tmp_path: Path) -> None:
    queue = House(tmp_path, sharing=lambda: "user")
    hers = queue.jobs.submit(GenerationRequest(prompt="hers"), client="phone", user="ann")
    his = queue.jobs.submit(GenerationRequest(prompt="his"), client="api", user="bob")
    ann = Viewer("ann", "desktop")
    seen = ViewedJobs(queue.jobs, ann)
    assert seen.find(hers.id).user == "ann"
    with pytest.raises(UnknownJob):
        seen.find(his.id)
    assert [one.id for one in queue.jobs.list(viewer=ann)] == [hers.id]
    assert len(queue.jobs.list()) == 2
    assert queue.jobs.duplicate(hers.id).user == "ann"
    queue.jobs.close()


def test_the_overview_shows_what_the_viewer_may_see_with_all_pictures(tmp_path: Path) -> None:
    sharing: list[Sharing] = ["everybody"]
    with House(tmp_path, sharing=lambda: sharing[0]) as house:
        done = house.jobs.submit(GenerationRequest(prompt="secret", steps=1, n_iter=2), client="phone")
        house.jobs.wait(done.id, PATIENCE)
        (row,) = queue_of(house.jobs, DESKTOP, 20, 0).ended
        assert (row.mine, row.visible, row.prompt) == (False, True, "secret")
        assert [(picture.number, picture.kind) for picture in row.pictures] == [(0, "image"), (1, "image")]
        sharing[0] = "browser"
        (row,) = queue_of(house.jobs, DESKTOP, 20, 0).ended
        assert (row.mine, row.visible, row.prompt, row.pictures) == (False, False, "", [])
        (row,) = queue_of(house.jobs, PHONE, 20, 0).ended
        assert (row.mine, row.visible, row.prompt) == (True, True, "secret")
