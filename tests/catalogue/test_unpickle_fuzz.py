"""Whatever opcodes a file is made of: it is refused or read, and nothing of the reader's own is changed by it."""

from __future__ import annotations

import io
import os
import pickle
import types
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, ClassVar, Final

import pytest

from modules.catalogue import unpickle as reader
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.unpickle import Builder, ElementType, SafeUnpickler, StorageRef, TensorRef, unpickle
from tests.amounts import amount
from tests.catalogue.pickle_programs import OTHER_NAMES, OWN_NAMES, pickle_program

# How many files are made in the normal suite and in the long one.
FILES: Final = int(os.environ.get("FUZZ_FILES", str(amount(1500, 4000))))
LONG_FILES: Final = int(os.environ.get("FUZZ_FILES_LONG", "1000000"))
STORAGE: Final = b"(\x8c\x07storagectorch\nHalfStorage\n\x8c\x010\x8c\x03cpuK\x10tQ"
TENSOR: Final = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00K\x02K\x03\x86K\x03K\x01\x86tR"
STATES: Final = {
    "attributes": b"}\x8c\x04evilK\x01s",
    "slots": b"N}\x8c\x05startK\x07s\x86",
    "fields": b"(ctorch\nfloat64\n\x8c\x01xK\x09K\x09l",
    "nothing": b"N",
}


def named(name: str) -> bytes:
    return "c{}\n{}\n".format(*name.split()).encode()


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("target", [*(named(name) for name in OWN_NAMES), STORAGE, TENSOR], ids=repr)
def test_what_is_the_readers_own_takes_no_state(target: bytes, state: str) -> None:
    before = snapshot()
    with pytest.raises(ModelFileError, match="damaged"):
        unpickle(io.BytesIO(b"\x80\x04" + target + STATES[state] + b"b."), "evil.ckpt")
    assert snapshot() == before


def test_a_storage_that_was_checked_stays_as_it_was() -> None:
    """The attack: a storage of 16 elements is read, and made to begin far behind its data."""
    changed = STORAGE + b"\x94(ctorch\nfloat16\n\x8c\x010K\x10J\xff\xff\xff\x7flb0h\x00"
    with pytest.raises(ModelFileError, match="damaged"):
        unpickle(io.BytesIO(b"\x80\x04" + changed + b"."), "evil.ckpt")
    whole, _ = unpickle(io.BytesIO(b"\x80\x04" + STORAGE + b"."), "good.ckpt")
    assert whole == StorageRef(ElementType("float16", 2), "0", 16)


@pytest.mark.parametrize("name", OWN_NAMES)
def test_no_attribute_of_what_a_file_gets_can_be_set(name: str) -> None:
    value = SafeUnpickler(io.BytesIO(), "x.ckpt").find_class(*name.split())
    assert not isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType)
    if not isinstance(value, type):
        assert not hasattr(value, "__dict__")
        with pytest.raises((AttributeError, TypeError)):  # the latter by frozen dataclasses with slots
            value.evil = 1  # type: ignore[attr-defined]  # any object may be tried


class Recording(SafeUnpickler):
    """Notes which references it gave out, and what they said then; `last` is the latest of these readers."""

    last: ClassVar[Recording]

    def __init__(self, file: BinaryIO, file_name: str, *, bound_methods: bool = False) -> None:
        super().__init__(file, file_name, bound_methods=bound_methods)
        self.given: list[tuple[StorageRef, tuple[object, ...]]] = []
        type(self).last = self

    def persistent_load(self, pid: object) -> object:
        made = super().persistent_load(pid)
        if isinstance(made, StorageRef):
            self.given.append((made, fields(made)))
        return made


@pytest.fixture
def _recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(reader, "SafeUnpickler", Recording)
        yield


def fields(value: StorageRef) -> tuple[object, ...]:
    return value.dtype, value.key, value.count, value.start


def snapshot() -> dict[str, object]:
    """All that a file could change here: the module's names, its classes' and functions' attributes."""
    found: dict[str, object] = {}
    for name, value in vars(reader).items():
        if name in ("__builtins__", "pickle", "torch", "mmap"):
            continue
        found[name] = value
        if getattr(value, "__module__", None) == reader.__name__:
            found |= {f"{name}.{key}": attribute for key, attribute in getattr(value, "__dict__", {}).items()}
        if isinstance(value, types.FunctionType):
            found[f"{name}()"] = value.__code__, value.__defaults__, value.__kwdefaults__
        if isinstance(value, Builder):
            found[f"{name}()"] = value._build
    return found | {f"builder {key}": value._build for key, value in reader._BUILDERS.items()}


def tensors_in(value: object, seen: set[int]) -> list[TensorRef]:
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, TensorRef):
        return [value]
    if isinstance(value, dict):
        return [one for pair in value.items() for part in pair for one in tensors_in(part, seen)]
    if isinstance(value, list | tuple | set | frozenset):
        return [one for part in value for one in tensors_in(part, seen)]
    return []


def check(data: bytes) -> bool:
    """Read one file; returns whether it was read to its end. It may end in one sentence, and in nothing else; what was
    given out must still say what it said."""
    content: object = None
    try:
        content, _ = unpickle(io.BytesIO(data), "fuzz.ckpt")
        whole = True
    except ModelFileError as error:
        assert str(error).startswith("fuzz.ckpt ")
        whole = False
    given = Recording.last.given
    assert all(fields(ref) == said for ref, said in given)
    genuine = {id(ref) for ref, _ in given}
    for tensor in tensors_in(content, set()):
        assert id(tensor.storage) in genuine
        assert isinstance(tensor.dtype, ElementType) and tensor.offset >= 0
        assert all(type(number) is int and number >= 0 for number in (*tensor.shape, *tensor.stride))
    return whole


def run_files(numbers: range) -> float:
    """Read a file for each number; the share of them that was read to its end."""
    before, whole = snapshot(), 0
    for number in numbers:
        data = pickle_program(number)
        try:
            whole += check(data)
        except AssertionError as error:
            raise AssertionError(f"file {number}: {data!r}") from error
        if number % 1000 == 0:
            assert snapshot() == before, f"changed by one of the files up to {number}"
    assert snapshot() == before
    return whole / len(numbers)


@pytest.mark.usefixtures("_recorded")
def test_random_opcodes_change_nothing() -> None:
    assert run_files(range(FILES)) > 0.02  # else the files end too early to show anything


@pytest.mark.long
@pytest.mark.usefixtures("_recorded")
@pytest.mark.timeout(7200)
def test_a_million_files_of_random_opcodes_change_nothing() -> None:
    assert run_files(range(LONG_FILES)) > 0.02


def test_the_files_reach_what_they_attack() -> None:
    """Each opcode that matters is written, and a reader whose functions have attributes is found out."""
    written = b"".join(pickle_program(number) for number in range(500))
    assert all(code in written for code in (b"R", b"b", b"\x81", b"\x92", b"Q", b"o", b"i", b"\x90", b"\x93", b"\x94"))
    assert all(name.split()[1].encode() in written for name in (*OWN_NAMES, *OTHER_NAMES))

    def victim() -> None:
        """What the reader handed out before: a plain function."""

    class Careless(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            return victim

        def persistent_load(self, pid: object) -> object:
            return victim

    for number in range(300):
        with suppress(Exception):  # whatever a damaged file leads to here
            Careless(io.BytesIO(pickle_program(number))).load()
    assert vars(victim)
