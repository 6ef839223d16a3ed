"""What can go wrong with a download, as sentences for the person at the page."""

from __future__ import annotations


class DownloadError(RuntimeError):
    """A download that can't go on. The message is one sentence: what was wrong, where, what to do."""


class ConnectionLost(RuntimeError):
    """The connection broke, or the server is busy: trying again may help. `after` is the wait it wants, in seconds."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after
