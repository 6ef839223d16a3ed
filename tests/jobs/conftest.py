"""The queue without a server: its engines are forked from a process that has imported what they need."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _forked(forked_engines: None) -> None:
    pass
