"""The most memory that a job takes, seen from beside it."""

import torch

from modules.hardware.main_memory import give_back_memory
from modules.hardware.memory_watch import MemoryWatch

CPU = torch.device("cpu")
MEGABYTE = 2**20


def test_what_came_and_went_is_in_the_peak() -> None:
    # What the tests before let the C library keep would be taken for the block, and nothing would come.
    give_back_memory()
    with MemoryWatch(CPU, 50) as watch:
        before = watch.peak()
        block = bytearray(b"x" * (300 * MEGABYTE))
        during = watch.peak()
        del block
        after = watch.peak()
    assert before is not None and during is not None and after is not None
    assert during.allocated - before.allocated > 250 * MEGABYTE
    # Not less than when the block was there: other threads of the tests may have taken more meanwhile.
    assert after.allocated >= during.allocated and after.reserved is None
    assert after.total > after.used >= before.used > 0


def test_without_readings_nothing_is_reported() -> None:
    with MemoryWatch(CPU, 0) as watch:
        assert watch.peak() is None
