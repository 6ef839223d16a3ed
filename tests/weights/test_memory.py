"""Switching checkpoints gives everything back, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import Architecture, write_tiny_checkpoint

SWITCHES = """
import gc, json, sys
from pathlib import Path
import torch
from modules.weights.checkpoint import load_checkpoint
torch.set_num_threads(1)

def held():
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["RssAnon"].split()[0]) / 1024

paths, readings = [Path(name) for name in sys.argv[1:]], []
for turn in range(12):
    model = load_checkpoint(paths[turn % len(paths)], dtype=torch.float32)
    with torch.no_grad():
        model.unet(torch.zeros(1, 4, 8, 8), 500, torch.zeros(1, 77, 64))
    loaded = held()
    model.release()
    assert not model.loaded
    readings.append((loaded, held()))
print(json.dumps(readings))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_switches_leave_the_memory_where_it_was(tmp_path: Path) -> None:
    architecture = Architecture(unet_channels=(64, 128, 256), unet_attention=(True, True, True))  # about 100 MB in fp32
    paths = [
        write_tiny_checkpoint(tmp_path / "a.safetensors", seed=1, architecture=architecture),
        write_tiny_checkpoint(tmp_path / "b.ckpt", seed=2, architecture=architecture, dtype="bf16"),
    ]
    command = [sys.executable, "-c", SWITCHES, *map(str, paths)]
    turns = json.loads(subprocess.check_output(command, text=True, timeout=250))
    loaded, released = zip(*turns, strict=True)
    model_size = loaded[2] - released[2]
    assert model_size > 60  # MB: the measure sees a model come and go
    assert abs(released[-1] - released[1]) < 0.2 * model_size, released
    assert max(loaded) < released[1] + 1.3 * model_size, loaded  # never two of them
