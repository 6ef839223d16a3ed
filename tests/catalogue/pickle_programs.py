"""Random pickles, made opcode by opcode: most run a good way, since the stack is followed while they are written."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

# What the reader answers to with values of its own, with stand-ins, and with a refusal.
OWN_NAMES: Final = (
    "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state",
    "torch._tensor _rebuild_from_type_v2", "torch Size", "torch HalfStorage", "torch FloatStorage",
    "torch.storage UntypedStorage", "torch float16", "torch bfloat16", "collections OrderedDict", "builtins dict",
    "__builtin__ dict",
)  # fmt: skip
OTHER_NAMES: Final = (
    "pytorch_lightning.callbacks ModelCheckpoint", "numpy dtype", "numpy.core.multiarray scalar", "builtins set",
    "copy_reg _reconstructor", "_codecs encode", "torch device", "torch.optim.adamw AdamW", "__main__ Config",
)  # fmt: skip
REFUSED_NAMES: Final = (
    "os system",
    "builtins eval",
    "builtins getattr",
    "torch load",
    "modules.catalogue.unpickle _size",
)
# Of the reader's own, those that a pickle may make instances of.
CLASSES: Final = ("collections OrderedDict", "builtins dict")
# Attributes that a state might set.
ATTRIBUTES: Final = (
    "__dict__", "__class__", "__code__", "__defaults__", "__wrapped__", "__call__", "__setstate__", "__module__",
    "_build", "state", "entries", "dtype", "key", "count", "start", "storage", "offset", "shape", "stride", "evil",
)  # fmt: skip
_KEYS: Final = ("0", "1", "cpu", "weight", "archive/data")


class ProgramWriter:
    """Writes one random pickle. `depth` is the height of the stack, `marks` the heights at which marks lie."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._out = bytearray(b"\x80\x04")
        self._depth = 0
        self._marks: list[int] = []
        self._memo = 0

    def program(self, length: int) -> bytes:
        """About `length` random opcodes, and the end of the pickle."""
        for _ in range(length):
            self._rng.choices(_MOVES, _WEIGHTS)[0](self)
        if not self._depth:
            self._push(b"N")
        if self._marks and self._rng.random() < 0.9:
            self._close(b"t")
        return bytes(self._out) + b"."

    def value(self) -> None:
        """A number, a text or a constant."""
        rng = self._rng
        kind = rng.randrange(8)
        if kind == 0:
            self._push(b"N" if rng.random() < 0.5 else rng.choice([b"\x88", b"\x89"]))
        elif kind < 4:
            self._push(b"J" + struct.pack("<i", rng.choice([0, 1, 2, 3, 16, -1, 1 << 30, rng.randrange(1000)])))
        elif kind < 6:
            self.text(rng.choice(ATTRIBUTES if rng.random() < 0.5 else _KEYS))
        elif kind == 6:
            self._push(b"\x8a\x09" + rng.randbytes(9))
        else:
            self._push(b"G" + rng.randbytes(8))

    def text(self, value: str) -> None:
        encoded = value.encode()
        self._push(b"\x8c" + bytes([len(encoded)]) + encoded)

    def name(self, choices: Sequence[Sequence[str]] | None = None) -> None:
        """A global, one of `choices` or of any, by one of the ways to name one."""
        rng = self._rng
        names = rng.choice(choices) if choices else rng.choices([OWN_NAMES, OTHER_NAMES, REFUSED_NAMES], [60, 30, 1])[0]
        module, attribute = rng.choice(names).split()
        if rng.random() < 0.6:
            self._push(f"c{module}\n{attribute}\n".encode())
        else:
            self.text(module)
            self.text(attribute)
            self._out += b"\x93"
            self._depth -= 1

    def extension(self) -> None:
        if self._rng.random() < 0.02:
            self._push(b"\x82" + bytes([self._rng.randrange(1, 256)]))

    def empty(self) -> None:
        self._push(self._rng.choice([b"]", b"}", b")", b"\x8f"]))

    def mark(self) -> None:
        self._out += b"("
        self._marks.append(self._depth)

    def gather(self) -> None:
        """What lies above the last mark becomes one value, or is put into the one below it."""
        kind = self._rng.choice([b"t", b"t", b"l", b"d", b"\x91", b"e", b"u", b"\x90", b"o", b"i"])
        if self._marks:
            self._close(kind)

    def storage(self) -> None:
        """A persistent id as PyTorch writes it, now and then with a part of it missing or of another kind."""
        rng = self._rng
        self.mark()
        self.text("storage" if rng.random() < 0.99 else "module")
        self._push(b"ctorch\nHalfStorage\n")
        self.text(rng.choice(_KEYS))
        self.text("cpu")
        self._push(b"J" + struct.pack("<i", rng.choices([0, 4, 16, 1000, -3], [8, 8, 8, 8, 1])[0]))
        if rng.random() < 0.05:
            self.value()
        self._close(b"t")
        self._out += b"Q"

    def tensor(self) -> None:
        """A call that builds a tensor."""
        rng = self._rng
        self._push(f"ctorch._utils\n{rng.choice(['_rebuild_tensor_v2', '_rebuild_tensor'])}\n".encode())
        self.mark()
        self.storage()
        self._push(b"K" + bytes([rng.randrange(4)]))
        for _ in range(2):
            self._push(b"K\x02K\x03\x86" if rng.random() < 0.95 else b")")
        self._close(b"t")
        self._call(b"R", 2)

    def call(self) -> None:
        """REDUCE, NEWOBJ or NEWOBJ_EX on what lies there, or on a tuple made for it."""
        rng = self._rng
        if rng.random() < 0.2:
            self._call(rng.choice([b"R", b"\x81"]), 2)
            return
        new = rng.random() < 0.5
        self.name((OTHER_NAMES, CLASSES) if new else None)
        self._push(b")")
        if new and rng.random() < 0.3:
            self._push(b"}")
            self._call(b"\x92", 3)
        else:
            self._call(b"\x81" if new else b"R", 2)

    def build(self) -> None:
        """BUILD with a state: of attributes, of slots, or whatever lies there."""
        rng = self._rng
        if rng.random() < 0.8:
            slots = rng.random() < 0.5
            if slots:
                self._push(b"N")
            self._push(b"}")
            self.text(rng.choice(ATTRIBUTES))
            self.value() if rng.random() < 0.7 else self.name()
            self._call(b"s", 3)
            if slots:
                self._call(b"\x86", 2)
        self._call(b"b", 2)

    def attack(self) -> None:
        """A value of the reader's own, and a state for it."""
        self._rng.choice([self.name, self.storage, self.tensor])()
        self.build()

    def put(self) -> None:
        """Into the memo, or out of it."""
        rng = self._rng
        if self._depth and rng.random() < 0.5:
            self._out += b"\x94"
            self._memo += 1
        elif self._memo:
            self._push(b"h" + bytes([rng.randrange(min(self._memo, 256))]))

    def pop(self) -> None:
        self._call(b"0", 1)

    def twice(self) -> None:
        if self._depth:
            self._push(b"2")

    def store(self) -> None:
        """One value into the container below it."""
        self._call(*self._rng.choice([(b"a", 2), (b"s", 3)]))

    def tuple_of_few(self) -> None:
        self._call(*self._rng.choice([(b"\x85", 1), (b"\x86", 2), (b"\x87", 3)]))

    def noise(self) -> None:
        """A byte of any kind, rarely: what follows is then read as something else."""
        if self._rng.random() < 0.02:
            self._out += self._rng.randbytes(1)

    def _push(self, code: bytes) -> None:
        self._out += code
        self._depth += 1

    def _close(self, code: bytes) -> None:
        height = self._marks.pop()
        if code == b"i":
            code += b"collections\nOrderedDict\n"
        self._out += code
        # APPENDS, SETITEMS and ADDITEMS leave what they filled; the others leave what they made.
        self._depth = height if code in (b"e", b"u", b"\x90") else height + 1

    def _call(self, code: bytes, needed: int) -> None:
        above = self._depth - (self._marks[-1] if self._marks else 0)
        if above < needed:
            return
        self._out += code
        self._depth -= needed - (0 if code == b"0" else 1)


Move = Callable[[ProgramWriter], None]
_MOVES: Final[list[Move]] = [
    ProgramWriter.value, ProgramWriter.name, ProgramWriter.empty, ProgramWriter.mark, ProgramWriter.gather,
    ProgramWriter.storage, ProgramWriter.tensor, ProgramWriter.call, ProgramWriter.build, ProgramWriter.attack,
    ProgramWriter.put, ProgramWriter.pop, ProgramWriter.twice, ProgramWriter.store, ProgramWriter.tuple_of_few,
    ProgramWriter.noise, ProgramWriter.extension,
]  # fmt: skip
_WEIGHTS: Final = [8, 4, 4, 3, 4, 3, 3, 4, 1, 1, 4, 1, 1, 3, 3, 1, 1]


def pickle_program(seed: int) -> bytes:
    """A pickle that follows from `seed`: of 3 to 40 moves."""
    rng = random.Random(seed)
    return ProgramWriter(rng).program(rng.randrange(3, 40))
