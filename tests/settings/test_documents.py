"""The tables in docs/ are what the declarations say now."""

import pytest

from modules.settings import OPTIONS, REPOSITORY
from modules.settings.__main__ import main
from modules.settings.documents import flags_page, options_page
from modules.settings.flag_parser import flag_names


def test_docs_are_fresh() -> None:
    docs = REPOSITORY / "docs"
    remedy = "run `python -m modules.settings docs`"
    assert (docs / "flags.md").read_text(encoding="utf-8") == flags_page(), remedy
    assert (docs / "options.md").read_text(encoding="utf-8") == options_page(), remedy


def test_pages_name_everything() -> None:
    assert all(f"`{name}`" in flags_page() for name in flag_names())
    assert all(f"`{key}`" in options_page() for key in OPTIONS)


def test_check_tells_a_bad_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMMANDLINE_ARGS", raising=False)
    assert main(["check", "--xformers"]) == 0
    assert main(["check", "--prot"]) == 2
    assert "did you mean --port?" in capsys.readouterr().err
    assert main(["nonsense"]) == 2
    assert "python -m modules.settings check" in capsys.readouterr().err
