"""What becomes of a job that was running when the last server ended."""

from __future__ import annotations

from modules.jobs.store import JobStore


def recover(store: JobStore, server_deaths: int) -> None:
    """What was running when the last server ended goes back to the head of the queue: that end was not the job's fault.

    Unless it had been interrupted, or as many servers as `server_deaths` have ended while they ran it.
    """
    store.fail_unreadable()
    job = store.running()
    if job is None:
        return
    if store.stop_requested(job.id):
        store.end(job.id, "interrupted", notices=("The server ended while the job was being interrupted.",))
    elif store.restarts(job.id) + 1 >= server_deaths:
        store.end(job.id, "failed", cause=f"The server ended {server_deaths} times while it ran this job.")
    else:
        store.put_back(job.id, blame="server")
