"""Entries of lists, without a server."""

from __future__ import annotations

from pathlib import Path

from modules.api.lists import lora_entry
from modules.catalogue import ModelFile
from modules.files import FileState
from tests.catalogue.files import write_model


def test_a_lora_in_capitals_has_its_metadata_and_a_pickle_none(tmp_path: Path) -> None:
    path = write_model(tmp_path / "INK.SAFETENSORS", {"ss_output_name": "ink", "ss_tag_frequency": '{"a": 1}'})
    other = tmp_path / "ink.pt"
    other.write_bytes(b"PK")
    entries = [lora_entry(ModelFile(path=one, name=one.name, state=FileState(1, 1))) for one in (path, other)]
    assert entries[0] == {
        "name": "INK",
        "alias": "ink",
        "path": str(path),
        "metadata": {"ss_tag_frequency": {"a": 1}, "ss_output_name": "ink"},
    }
    assert (entries[1]["alias"], entries[1]["metadata"]) == ("ink", {})
