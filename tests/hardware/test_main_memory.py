"""Freed memory stays for the next step and is given back on request, measured in processes of their own."""

import json
import subprocess
import sys

import pytest

MEASURED = """
import json, resource, sys
import torch
from modules.hardware import main_memory

def held():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    alive = [torch.ones(count * 2**22) for count in (4, 3, 2, 1)]

pooled = sys.argv[1] == "pooled" and main_memory.keep_freed_memory()
step()
before = faults()
step()
after = faults()
peak = held()
main_memory.give_back_memory()
print(json.dumps({"pooled": pooled, "faults": after - before, "held": peak, "after": held()}))
"""


def measure(way: str) -> dict[str, float]:
    run = subprocess.run([sys.executable, "-c", MEASURED, way], capture_output=True, text=True, timeout=120, check=True)
    result: dict[str, float] = json.loads(run.stdout)
    return result


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="what glibc does")
def test_a_step_takes_its_memory_from_the_step_before_until_it_is_given_back() -> None:
    pooled, plain = measure("pooled"), measure("plain")
    assert pooled["pooled"] and not plain["pooled"]
    # 160 MiB: 40,960 pages, or 80 huge ones.
    assert 2 * pooled["faults"] < plain["faults"]
    assert pooled["held"] - pooled["after"] > 150e6, "what was kept did not go back"
