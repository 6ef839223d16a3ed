"""The examples of docs/importable.md are true."""

import doctest
from pathlib import Path


def test_the_examples_of_the_page_are_true() -> None:
    page = Path(__file__).parents[1] / "docs" / "importable.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (result.attempted > 8, result.failed) == (True, 0)
