"""Pickles: payloads are refused by name and never run; what honest training leaves behind loads."""

import builtins
import codecs
import collections
import contextlib
import functools
import io
import operator
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
from pathlib import Path

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from modules.catalogue.kinds import Container
from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.catalogue.pickle_memo import refuse_forged_memo
from modules.catalogue.pickle_names import may_run_code
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.catalogue.torch_layout import read_torch_layout
from modules.catalogue.unpickle import Inert, unpickle
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.tensor_file import open_tensors, stream_tensors
from tests.catalogue.files import write_header
from tests.checkpoints import Payload, forget_lightning, lightning_leftovers, write_malicious_checkpoint, write_tensors


def attempt(path: Path) -> None:
    with open_tensors(path) as file:
        for name in file.shapes:
            file.tensor(name)


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """A file that a payload which ran would have made."""
    return tmp_path / "it-ran"


def payloads(proof: Path) -> dict[str, object]:
    code = f"open({str(proof)!r}, 'w').close()"
    return {
        "system": Payload(os.system, f"touch {proof}"),
        "eval": Payload(eval, code),
        "exec": Payload(exec, code),
        "subprocess": Payload(subprocess.check_call, ["touch", str(proof)]),
        "open": Payload(open, str(proof), "w"),
        "getattr": Payload(getattr, Payload(__import__, "os"), "system"),
        "attrgetter": Payload(operator.attrgetter("system"), os),
        "partial": Payload(functools.partial(os.system, f"touch {proof}")),
        "codecs": Payload(codecs.decode, b"YQ==", "base64"),
        "torch.load": Payload(torch.load, "evil.pt"),
        "torch.hub": Payload(torch.hub.load, "someone/repo", "evil"),
        "torch.jit": Payload(torch.jit.load, "evil.pt"),
        "numpy": Payload(numpy.load, "evil.npy"),
        "map": Payload(map, os.system, [f"touch {proof}"]),
    }


PAYLOAD_NAMES = {
    "system": "system", "eval": "builtins.eval", "exec": "builtins.exec", "subprocess": "subprocess.check_call",
    "open": "io.open", "getattr": "builtins.getattr", "attrgetter": "operator.attrgetter",
    "partial": "functools.partial", "codecs": "_codecs.decode", "torch.load": "torch.serialization.load",
    "torch.hub": "torch.hub.load", "torch.jit": "torch.jit._serialization.load", "numpy": "numpy.load",
    "map": "builtins.map",
}  # fmt: skip


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("kind", PAYLOAD_NAMES)
def test_a_payload_is_refused_by_name_and_never_runs(tmp_path: Path, proof: Path, kind: str, legacy: bool) -> None:
    if kind == "attrgetter":  # a module can't be pickled; the getter alone is refusal enough
        payload: object = operator.attrgetter("system")
    else:
        payload = payloads(proof)[kind]
    path = write_malicious_checkpoint(tmp_path / "evil.ckpt", payload, legacy=legacy)
    with pytest.raises(UnsafePickleError, match=r"evil\.ckpt was refused") as refusal:
        attempt(path)
    assert PAYLOAD_NAMES[kind].rpartition(".")[2] in str(refusal.value)
    assert "Nothing was executed" in str(refusal.value)
    assert not proof.exists()


def test_the_suffix_changes_nothing(tmp_path: Path, proof: Path) -> None:
    path = write_malicious_checkpoint(tmp_path / "evil.safetensors", payloads(proof)["eval"])
    with pytest.raises(UnsafePickleError, match=r"builtins\.eval"):
        attempt(path)


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.ckpt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("script/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("script/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("script/code/__torch__.py", "raise SystemExit")
    with pytest.raises(UnsafePickleError, match="TorchScript program"):
        attempt(path)


def test_dotted_names_are_not_walked() -> None:
    """Protocol 4 may ask for "collections" and then "OrderedDict.__init__.__globals__"."""
    chain = b"\x80\x04\x8c\x0bcollections\x8c\x20OrderedDict.__init__.__globals__\x93."
    with pytest.raises(UnsafePickleError, match="__globals__"):
        unpickle(io.BytesIO(chain), "evil.ckpt")


@pytest.mark.parametrize(
    ("module", "name"),
    [("nt", "system"), ("posix", "system"), ("os", "popen"), ("sys", "modules"), ("builtins", "__import__"),
     ("runpy", "_run_code"), ("pydoc", "pipepager"), ("numpy.testing._private.utils", "runstring"), ("torch", "load"),
     ("torch._inductor.codecache", "compile_file"), ("pip", "main"), ("webbrowser", "open"), ("ctypes", "CDLL"),
     ("importlib", "import_module"), ("shutil", "rmtree"), ("asyncio.unix_events", "_UnixSubprocessTransport.__x__"),
     ("bdb", "Bdb.run"), ("cProfile", "run"), ("code", "interact"), ("socket", "create_connection")],
)  # fmt: skip
def test_names_that_run_code(module: str, name: str) -> None:
    assert may_run_code(module, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"), ("numpy.core.multiarray", "scalar"),
     ("numpy._core.multiarray", "_reconstruct"), ("numpy", "dtype"), ("numpy.dtypes", "Int64DType"),
     ("collections", "defaultdict"), ("pathlib", "PosixPath"), ("torch", "device"), ("torch.optim.adamw", "AdamW"),
     ("torch.nn.modules.container", "ParameterDict"), ("omegaconf.dictconfig", "DictConfig"), ("__main__", "Config"),
     ("ldm.modules.ema", "LitEma"), ("_codecs", "encode"), ("builtins", "set")],
)  # fmt: skip
def test_names_that_honest_files_have(module: str, name: str) -> None:
    assert not may_run_code(module, name)


def test_every_callable_builtin_but_containers_is_refused() -> None:
    dangerous = {"eval", "exec", "compile", "open", "getattr", "setattr", "delattr", "__import__", "globals", "input",
                 "vars", "map", "filter", "breakpoint", "exit", "type", "super", "classmethod"}  # fmt: skip
    assert all(may_run_code("builtins", name) for name in dangerous & set(dir(builtins)) | {"execfile", "reduce"})


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_lightning_files_load(tmp_path: Path, legacy: bool) -> None:
    tensors = {"model.diffusion_model.a": torch.randn(3, 4).half(), "b": torch.arange(6.0)}
    path = tmp_path / "old.ckpt"
    scalar = numpy.int64(7)
    content = {"state_dict": tensors, "step": scalar, **lightning_leftovers()}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    forget_lightning()
    with open_tensors(path) as file:
        assert file.shapes == {"model.diffusion_model.a": (3, 4), "b": (6,)}
        assert all(torch.equal(file.tensor(name), value) for name, value in tensors.items())


def test_a_modules_own_state_dict_loads(tmp_path: Path) -> None:
    """`state_dict()` is an OrderedDict with an attribute `_metadata`, which pickles as a state."""
    layer = torch.nn.Linear(3, 2)
    torch.save(layer.state_dict(), tmp_path / "bare.pt")
    torch.save({"state_dict": {"w": torch.nn.Parameter(torch.ones(2))}}, tmp_path / "parameter.pt")
    with open_tensors(tmp_path / "bare.pt") as file:
        assert torch.equal(file.tensor("weight"), layer.weight)
    with open_tensors(tmp_path / "parameter.pt") as file:
        assert torch.equal(file.tensor("w"), torch.ones(2))


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
          torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn]  # fmt: skip


# The legacy format is older than float8.
LAYOUTS = [
    (dtype, legacy)
    for dtype in DTYPES
    for legacy in (False, True)
    if not (legacy and dtype.itemsize == 1 and dtype.is_floating_point)
]


@pytest.mark.parametrize(("dtype", "legacy"), LAYOUTS, ids=str)
def test_every_dtype_round_trips(tmp_path: Path, dtype: torch.dtype, legacy: bool) -> None:
    value = torch.randint(0, 2, (3, 5)).to(dtype)
    path = tmp_path / "a.pt"
    torch.save({"x": value, "scalar": value[0, 0], "empty": value[:0]}, path, _use_new_zipfile_serialization=not legacy)
    with open_tensors(path) as file:
        for name, expected in (("x", value), ("scalar", value[0, 0]), ("empty", value[:0])):
            found = file.tensor(name)
            assert found.dtype == dtype and found.shape == expected.shape
            assert torch.equal(found.float(), expected.float())


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_views_and_strides_round_trip(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    tensors = {"base": base, "transposed": base.T, "column": base[:, 2], "tail": base[2:], "nhwc": torch.randn(
        2, 3, 4, 4).contiguous(memory_format=torch.channels_last)}  # fmt: skip
    torch.save(tensors, tmp_path / "views.pt", _use_new_zipfile_serialization=not legacy)
    with open_tensors(tmp_path / "views.pt") as file:
        for name, value in tensors.items():
            assert torch.equal(file.tensor(name), value), name


def test_the_file_is_never_written_through_a_window(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(8)}, tmp_path / "a.pt")
    before = (tmp_path / "a.pt").read_bytes()
    with open_tensors(tmp_path / "a.pt") as file:
        file.tensor("x").add_(1)
    assert (tmp_path / "a.pt").read_bytes() == before


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_a_truncated_file_is_one_sentence(tmp_path: Path, keep: float, legacy: bool) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"x": torch.randn(64, 64)}}, path, _use_new_zipfile_serialization=not legacy)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ModelFileError, match=r"cut\.ckpt .*fetch it again"):
        attempt(path)


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", pickle.dumps({"x": b"\0" * 50_000_000}, protocol=2))
    assert path.stat().st_size < 100_000
    with pytest.raises(ModelFileError, match="repacked"):
        attempt(path)


def test_a_tensor_that_claims_more_than_its_data_is_refused(tmp_path: Path) -> None:
    """A stride of 0 makes four bytes look like terabytes."""
    torch.save({"x": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "big.pt")
    with pytest.raises(CheckpointError, match="larger than its data"):
        attempt(tmp_path / "big.pt")


def test_other_zips_and_pickles_say_what_they_are(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.ckpt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelFileError, match="zip archive without a model"):
        attempt(tmp_path / "photos.ckpt")
    (tmp_path / "plain.ckpt").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(ModelFileError, match="not one that PyTorch wrote"):
        attempt(tmp_path / "plain.ckpt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="no dictionary of tensors"):
        attempt(tmp_path / "list.pt")


def test_stand_ins_take_whatever_a_pickle_does_to_them() -> None:
    restored, _ = unpickle(io.BytesIO(pickle.dumps(collections.defaultdict(list, a=[1]), protocol=2)), "x.pt")
    assert isinstance(restored, Inert)
    assert restored.entries == {"a": [1]}


def test_read_torch_gives_the_whole_object(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a.ckpt", {"x": torch.ones(2)}, {}, {"step": 5, "name": "cat"})
    content = read_torch_layout(tmp_path / "a.ckpt", Container.TORCH_ZIP).content
    assert isinstance(content, dict) and content["step"] == 5
    torch.save({"name": "cat"}, tmp_path / "b.pt", _use_new_zipfile_serialization=False)
    assert read_torch_layout(tmp_path / "b.pt", Container.TORCH_LEGACY).content == {"name": "cat"}


@given(st.binary(max_size=200))
def test_random_bytes_are_damaged_or_refused_never_more(noise: bytes) -> None:
    try:
        unpickle(io.BytesIO(b"\x80\x02" + noise), "noise.ckpt")
    except ModelFileError as error:
        assert str(error).startswith("noise.ckpt ")


@given(st.integers(0, 2**31), st.integers(1, 8))
def test_flipped_bytes_in_a_file_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, at: int, mask: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped.pt"
    buffer = io.BytesIO()
    torch.save({"state_dict": {"x": torch.arange(4.0)}, "n": 1}, buffer)
    damaged = bytearray(buffer.getvalue())
    damaged[at % len(damaged)] ^= mask
    path.write_bytes(damaged)
    with contextlib.suppress(ModelFileError):
        attempt(path)


def test_a_legacy_file_with_an_absurd_count_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "count.pt"
    torch.save({"x": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    path.write_bytes(data[:-16] + struct.pack("<q", 2**60) + data[-8:])
    with pytest.raises(ModelFileError, match="truncated"):
        attempt(path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("number", [b"r" + struct.pack("<I", 300_000_000), b"p300000000\n", b"p 300000000\n", b"q\xff"])
def test_a_number_that_would_ask_for_gigabytes_is_refused(tmp_path: Path, number: bytes, legacy: bool) -> None:
    """Six bytes made the reader ask for the memory of a list of so many values, 4.8 GB here."""
    path, forged = tmp_path / "memo.pt", b"\x80\x02}" + number + b"."
    if legacy:
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + forged)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", forged)
            archive.writestr("archive/version", b"3")
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="damaged"):
            read_torch_layout(path, Container.TORCH_LEGACY if legacy else Container.TORCH_ZIP)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_looking_through_a_pickle_leaves_the_file_where_it_was() -> None:
    for protocol in range(6):
        value = ["text", "text" * 100, b"\0" * 300, 2**70, 1.5, {"a": (1, -1, None, True)}, Path("x"), torch.float32]
        data = pickle.dumps(value, protocol)
        file = io.BytesIO(b"before" + data + b"behind")
        file.seek(6)
        refuse_forged_memo(file)
        assert file.tell() == 6
        file.seek(6 + len(data))
    for broken in (b"", data[:-1], b"\xff.", b"T\xff\xff\xff\xff.", b"I5"):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            refuse_forged_memo(io.BytesIO(broken))


@pytest.mark.parametrize("name", ["half.safetensors", "half.pt"])
def test_half_a_character_in_a_tensors_name_is_a_damaged_file(tmp_path: Path, name: str) -> None:
    """Nothing that lists or writes names could take it: a merge ended with it in the middle of its work."""
    path = tmp_path / name
    if path.suffix == ".pt":
        torch.save({"a\ud800": torch.zeros(2)}, path)
    else:
        write_header(path, {"a\ud800": {"dtype": "F16", "shape": [6], "data_offsets": [0, 12]}})
    for read in (open_tensors, stream_tensors):
        with pytest.raises(ModelFileError, match="name of a tensor is no text"), read(path):
            pass
    with pytest.raises(ModelFileError, match="name of a tensor is no text"):
        read_tensor_shapes(path)
