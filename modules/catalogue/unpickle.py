"""Reading PyTorch's pickles without executing anything in them.

A pickle is a program: it may name any function and call it. Here a name is never looked up. Names of tensor building
become values of our own; names that training leaves behind (Lightning callbacks, optimizers, numpy scalars) become
inert stand-ins; the standard library's and other names that could run code are refused by name. A pickle may also set
attributes of whatever it was given (BUILD): of our values none can be set.

No tensor is read either: a description of each is made (`TensorRef`), so that this needs no torch. Formats: PyTorch's
zip
(`archive/data.pkl` + `archive/data/<key>`, since 1.6) and the sequence of pickles before it (torch.serialization
`_legacy_save`).
"""

import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Final, NoReturn, Self

from modules.catalogue.model_errors import ModelFileError, UnsafePickleError
from modules.catalogue.pickle_memo import refuse_forged_memo
from modules.catalogue.pickle_names import may_run_code

# Bytes of an element, by PyTorch's name of its type.
_SIZES: Final[Mapping[str, int]] = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1,
    "bool": 1, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip
_STORAGES: Final[Mapping[str, str]] = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "UntypedStorage": "uint8",
}  # fmt: skip
_DICTIONARIES: Final = ("OrderedDict", "dict")
_PYTHON2_NAMES: Final = {"__builtin__": "builtins", "copy_reg": "copyreg", "UserDict": "collections"}


def _refuse_state(_value: object, _state: object) -> NoReturn:
    """The `__setstate__` of values that a file may not change."""
    raise pickle.UnpicklingError("a state for what has none")


@dataclass(frozen=True, slots=True)
class ElementType:
    """A type of numbers by PyTorch's name of it ("float16"), and the bytes that one takes."""

    name: str
    itemsize: int

    __setstate__ = _refuse_state


@dataclass(frozen=True, slots=True)
class StorageType:
    """What `torch.HalfStorage` and its like become."""

    dtype: ElementType

    __setstate__ = _refuse_state


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A storage as the pickle refers to it; `start` in elements of `dtype`, for views in old files."""

    dtype: ElementType
    key: str
    count: int
    start: int = 0

    __setstate__ = _refuse_state


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor that has not been read: where it lies in which storage. Sizes and strides in elements."""

    storage: StorageRef
    dtype: ElementType
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    __setstate__ = _refuse_state


class Builder:
    """A function of ours that a pickle may call, and do nothing else with."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., object]) -> None:
        self._build = build

    def __call__(self, *arguments: object) -> object:
        return self._build(*arguments)

    __setstate__ = _refuse_state


class Inert:
    """Stands in for an object of a class that is not needed; takes whatever the pickle does to it, keeps its state."""

    __slots__ = ("entries", "state")
    entries: dict[object, object]
    state: object

    def __new__(cls, *_arguments: object, **_named: object) -> Self:  # pickles may skip __init__, never __new__
        made = super().__new__(cls)
        made.entries, made.state = {}, None
        return made

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.entries[key] = value

    def append(self, _value: object) -> None:
        """Lists of training state are not needed."""

    def extend(self, _values: object) -> None:
        """As `append`."""

    def add(self, _value: object) -> None:
        """As `append`, for sets."""


class Dictionary(dict[object, object]):
    """An OrderedDict of the file; what a module's state_dict hangs on it (`_metadata`) is not needed."""

    def __setstate__(self, state: object) -> None:
        """Take a state, as pickle demands, and forget it."""


class SafeUnpickler(pickle.Unpickler):
    """An unpickler that never imports and never calls what a file names; `storages` are those it met."""

    def __init__(self, file: BinaryIO, file_name: str, *, bound_methods: bool = False) -> None:
        super().__init__(file, encoding="latin1")
        self._file_name = file_name
        self._bound_methods = bound_methods
        self.storages: dict[str, ElementType] = {}

    def find_class(self, module: str, name: str) -> object:
        """Resolve a name from the pickle to a value of ours.

        Raises:
            UnsafePickleError: the name could run code.
        """
        module = _PYTHON2_NAMES.get(module, module)
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return StorageType(_TYPES[_STORAGES[name]])
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) in _BUILDERS:
            return _BUILDERS[module, name]
        if self._bound_methods and (module, name) == ("builtins", "getattr"):
            return Inert  # Nothing is looked up: whatever it is called with, the answer is a stand-in.
        if module in ("collections", "builtins") and name in _DICTIONARIES:
            return Dictionary
        if may_run_code(module, name):
            self._refuse(module, name)
        return Inert

    def persistent_load(self, pid: object) -> object:
        """Read a storage's reference: ("storage", type, key, location, count[, (view key, offset, count)]).

        Before 1.6 modules were written with their source, ("module", type, file, source): the source is dropped.
        """
        match pid:
            case ("module", kind, *_) if kind is Inert:
                return kind
            case ("storage", StorageType(dtype), str(key), _, int(count), *view) if count >= 0:
                self.storages[key] = dtype
            case _:
                raise pickle.UnpicklingError("a persistent id that is no storage")
        match view:
            case [] | [None]:
                return StorageRef(dtype, key, count)
            case [(str(_), int(start), int(view_count))] if start >= 0 and 0 <= view_count <= count - start:
                return StorageRef(dtype, key, view_count, start)
        raise pickle.UnpicklingError("a storage with an odd view")

    def _refuse(self, module: str, name: str) -> NoReturn:
        raise UnsafePickleError(
            f"{self._file_name} was refused: it contains {module}.{name}, which could run code on this machine and has "
            "no place in a model. Nothing was executed; delete the file, or get a .safetensors version of the model."
        )


def unpickle(file: BinaryIO, file_name: str, *, bound_methods: bool = False) -> tuple[object, dict[str, ElementType]]:
    """Read one pickle from where the file stands: its object, and the type of each storage it refers to.

    With `bound_methods` methods that were saved with a module, by the name `getattr`, are stand-ins, not refused.

    Raises:
        UnsafePickleError: it names something that could run code.
        ModelFileError: it is damaged.
    """
    try:
        refuse_forged_memo(file)
        reader = SafeUnpickler(file, file_name, bound_methods=bound_methods)
        return reader.load(), reader.storages
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError,
        MemoryError, RecursionError, ImportError, OSError, struct.error,
    ) as error:  # fmt: skip
        if isinstance(error, UnsafePickleError):
            raise
        raise ModelFileError(
            f"{file_name} is a damaged PyTorch file ({type(error).__name__} while reading it); fetch it again."
        ) from error


def _rebuild_tensor(storage: object, offset: object, shape: object, stride: object, *_rest: object) -> TensorRef:
    match storage, offset, shape, stride:
        case StorageRef(), int(start), tuple(extents), tuple(steps) if len(extents) == len(steps):
            if start >= 0 and all(type(value) is int and 0 <= value < 1 << 48 for value in (*extents, *steps)):
                return TensorRef(storage, storage.dtype, start, extents, steps)
    raise pickle.UnpicklingError("a tensor with an odd description")


def _rebuild_tensor_v3(
    storage: object, offset: object, shape: object, stride: object, _grad: object, _hooks: object, dtype: object,
    *_rest: object,
) -> TensorRef:  # fmt: skip
    ref = _rebuild_tensor(storage, offset, shape, stride)
    if not isinstance(dtype, ElementType):
        raise pickle.UnpicklingError("a tensor without a dtype")
    return TensorRef(ref.storage, dtype, ref.offset, ref.shape, ref.stride)


def _rebuild_parameter(data: object, *_rest: object) -> object:
    return data


def _rebuild_from_type(function: object, _type: object, arguments: object, _state: object) -> object:
    if function not in (_TENSOR, _TENSOR_V3) or not isinstance(arguments, tuple):
        raise pickle.UnpicklingError("a tensor subclass with an odd recipe")
    return _rebuild_tensor(*arguments) if function is _TENSOR else _rebuild_tensor_v3(*arguments)


def _size(extents: object = ()) -> tuple[object, ...]:
    if not isinstance(extents, tuple | list):
        raise pickle.UnpicklingError("a size that is no list")
    return tuple(extents)


_TENSOR: Final = Builder(_rebuild_tensor)
_TENSOR_V3: Final = Builder(_rebuild_tensor_v3)
_PARAMETER: Final = Builder(_rebuild_parameter)
_BUILDERS: Final[Mapping[tuple[str, str], Builder]] = {
    ("torch._utils", "_rebuild_tensor"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_tensor_v3"): _TENSOR_V3,
    ("torch._utils", "_rebuild_parameter"): _PARAMETER,
    ("torch._utils", "_rebuild_parameter_with_state"): _PARAMETER,
    ("torch._tensor", "_rebuild_from_type_v2"): Builder(_rebuild_from_type),
    ("torch", "Size"): Builder(_size),
}
_TYPES: Final = {name: ElementType(name, size) for name, size in _SIZES.items()}
