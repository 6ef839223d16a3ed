"""What libraries warn of is heard as a sentence, and still stands in the log."""

import logging
import warnings

import pytest

from modules.settings.warned import HeardWarnings


@pytest.mark.filterwarnings("always")
def test_a_warning_is_heard_without_its_place(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []
    with HeardWarnings(heard.append).listening():
        warnings.warn("the sky is falling: run", RuntimeWarning, stacklevel=1)
    assert heard == ["RuntimeWarning: the sky is falling: run"]
    assert "test_warned.py" in caplog.text and "the sky is falling" in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_nothing_is_heard_once_the_block_is_left() -> None:
    heard: list[str] = []
    before = warnings.showwarning
    with HeardWarnings(heard.append).listening():
        assert warnings.showwarning is not before
    assert warnings.showwarning is before
    assert not logging.getLogger("py.warnings").handlers
