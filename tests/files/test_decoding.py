"""Texts of files that people's editors saved."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.files import decoded


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_stray_byte_changes_itself_alone(mark: bytes) -> None:
    assert decoded(mark + "猫".encode() + b"\x85" + "ü".encode()) == "猫…ü"


def test_whole_files_of_other_encodings() -> None:
    assert decoded("Café crème".encode("cp1252")) == "Café crème"
    assert decoded("字体".encode("utf-16")) == decoded(codecs.BOM_UTF16_BE + "字体".encode("utf-16-be")) == "字体"


@given(st.binary())
def test_nothing_fails_and_no_byte_gets_lost(data: bytes) -> None:
    text = decoded(data)
    if not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        assert "\ufffd" not in text or "\ufffd".encode() in data
    assert decoded(text.encode()) in (text, text.removeprefix("\ufeff"))
