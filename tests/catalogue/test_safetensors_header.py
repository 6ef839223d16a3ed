"""Headers: good ones are read as safetensors itself reads them, bad ones are one sentence."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from modules.catalogue import ModelFileError, read_safetensors_header, read_safetensors_metadata
from modules.catalogue.safetensors_header import MAX_HEADER_BYTES
from tests.catalogue.files import TENSOR, write_header, write_model


def test_agrees_with_safetensors_itself(tmp_path: Path) -> None:
    arrays = {"a": numpy.zeros((2, 3), "float16"), "b.c": numpy.arange(5), "scalar": numpy.array(3, "float32")}
    path = tmp_path / "model.safetensors"
    save_file(arrays, path, metadata={"modelspec.title": "Cät"})
    header = read_safetensors_header(path)
    with safe_open(path, "np") as oracle:
        assert set(header.tensors) == set(oracle.keys())
        assert header.metadata == oracle.metadata()
        for name in header.tensors:
            assert header.shapes[name] == tuple(oracle.get_slice(name).get_shape())
    assert read_safetensors_metadata(path) == {"modelspec.title": "Cät"}


BROKEN = {
    "not JSON": (b"{nonsense", "not JSON"),
    "a list": (b"[1, 2]", "not a JSON object"),
    "metadata": (b'{"__metadata__": 3}', "__metadata__"),
    "no dtype": (b'{"x": {"shape": [2], "data_offsets": [0, 4]}}', "lacks dtype"),
    "odd dtype": (b'{"x": {"dtype": "F12", "shape": [2], "data_offsets": [0, 4]}}', "unknown dtype"),
    "negative shape": (b'{"x": {"dtype": "F16", "shape": [-2], "data_offsets": [0, 4]}}', "impossible shape"),
    "text as shape": (b'{"x": {"dtype": "F16", "shape": ["2"], "data_offsets": [0, 4]}}', "impossible shape"),
    "bytes and shape": (b'{"x": {"dtype": "F16", "shape": [2], "data_offsets": [0, 5]}}', "byte range"),
    "backwards": (b'{"x": {"dtype": "F16", "shape": [2], "data_offsets": [4, 0]}}', "byte range"),
    "deep": (b"[" * 50_000, "not JSON"),
    "binary": (b"{\xff\xfe\x00", "not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_malformed_header_is_one_sentence(tmp_path: Path, kind: str) -> None:
    raw, expected = BROKEN[kind]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * 64)
    with pytest.raises(ModelFileError, match=expected) as error:
        read_safetensors_header(path)
    assert str(error.value).startswith("bad.safetensors ")
    assert "\n" not in str(error.value)


def test_an_enormous_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{")
    with pytest.raises(ModelFileError, match="claims a header of 100000001 bytes"):
        read_safetensors_header(path)


@pytest.mark.parametrize("size", [0, 5, 8, 30, -1])
def test_a_truncated_file_says_so(tmp_path: Path, size: int) -> None:
    path = write_model(tmp_path / "cut.safetensors")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"cut\.safetensors is (truncated|only)"):
        read_safetensors_header(path)


def test_metadata_behind_the_tensors_or_longer_than_the_first_read(tmp_path: Path) -> None:
    behind = write_header(tmp_path / "behind.safetensors", {**TENSOR, "__metadata__": {"a": "1"}})
    assert read_safetensors_metadata(behind) == {"a": "1"}
    long = write_model(tmp_path / "long.safetensors", {"ss_tag_frequency": "x" * 200_000, "a": "2"})
    assert read_safetensors_metadata(long)["a"] == "2"


def test_metadata_of_other_files_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(b"PK\x03\x04 and so on")
    assert read_safetensors_metadata(tmp_path / "a.ckpt") == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
ENTRIES = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F16", "F32", "I64", "nope"]) | JSON,
     "shape": st.lists(st.integers(-2, 2**62), max_size=4) | JSON,
     "data_offsets": st.lists(st.integers(-1, 2**62), min_size=1, max_size=3) | JSON}
)  # fmt: skip


def read_or_refuse(path: Path) -> None:
    for read in (read_safetensors_header, read_safetensors_metadata):
        try:
            read(path)
        except ModelFileError as error:
            assert str(error).startswith(path.name)


@given(st.dictionaries(st.text(max_size=8), ENTRIES | JSON, max_size=4) | JSON, st.binary(max_size=64))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, document: Any, data: bytes) -> None:
    raw = json.dumps(document).encode()
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + data)
    read_or_refuse(path)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.safetensors"
    path.write_bytes(data)
    read_or_refuse(path)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_what_we_accept_safetensors_accepts_too(tmp_path_factory: pytest.TempPathFactory, at: int, mask: int) -> None:
    """One flipped byte in a good file: if our check passes, the library must not crash on it later than on opening."""
    path = write_model(tmp_path_factory.getbasetemp() / "flip.safetensors", {"a": "b"})
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= mask
    path.write_bytes(data)
    read_or_refuse(path)
