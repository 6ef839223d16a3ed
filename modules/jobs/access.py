"""Who may see a job and change it: the one rule that page and API both use."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal

from modules.jobs.job import Job
from modules.settings.tables.system import BROWSER, EVERYBODY

Sharing = Literal["everybody", "user", "browser"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at the queue: the name of their login, and the id that their browser chose; None where unknown."""

    user: str | None = None
    client: str | None = None


ANYONE: Final = Viewer()


def sharing_of(users: Collection[str], *, exposed: bool, setting: str) -> Sharing:
    """Among whom jobs are shared.

    Several logins are several people: to each their own jobs. One login, or none on a server that only this machine
    reaches, is one person with perhaps several browsers. On a server that is open to the network without a login,
    browsers may be strangers. `setting` is the option `queue_sharing`, which decides where there are no several logins.
    """
    if len(set(users)) > 1:
        return "user"
    if setting == EVERYBODY:
        return "everybody"
    if setting == BROWSER:
        return "browser"
    return "browser" if exposed and not users else "everybody"


def may_access(job: Job, viewer: Viewer, sharing: Sharing) -> bool:
    """Whether `viewer` may see the job's request and pictures, and move, stop or repeat it.

    A job without a user's name is from a time without logins, when it was everybody's. Between browsers this is
    discretion, not protection: a browser's id is no secret, and a program that names none is refused nothing. Jobs from
    the API belong to no browser.
    """
    match sharing:
        case "everybody":
            return True
        case "user":
            return job.user is None or job.user == viewer.user
        case "browser":
            return viewer.client is None or job.client in (None, "api", viewer.client)
