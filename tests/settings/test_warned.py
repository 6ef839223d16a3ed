"""What libraries warn of is heard as a sentence, and still stands in the log."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from modules.settings.warned import HeardWarnings


@pytest.fixture
def heard() -> Iterator[list[str]]:
    messages: list[str] = []
    handler = HeardWarnings(messages.append)
    handler.listen()
    yield messages
    logging.getLogger("py.warnings").removeHandler(handler)
    logging.captureWarnings(False)


@pytest.mark.filterwarnings("always")
def test_a_warning_is_heard_without_its_place(heard: list[str], caplog: pytest.LogCaptureFixture) -> None:
    warnings.warn("the sky is falling: run", RuntimeWarning, stacklevel=1)
    assert heard == ["RuntimeWarning: the sky is falling: run"]
    assert "test_warned.py" in caplog.text and "the sky is falling" in caplog.text
