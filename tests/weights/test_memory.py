"""Switching checkpoints gives everything back, measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkpoints import Architecture, write_hollow_checkpoint, write_tiny_checkpoint

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


MERGE = """
import json, sys
from pathlib import Path
import torch
from modules.parameters.merger_request import MergeRequest
from modules.weights.merging.checkpoints import MergeTarget, merge_checkpoints
from modules.weights.merging.sources import SourceModel
torch.set_num_threads(1)

def status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) / 1024

a, b, c = (SourceModel(Path(name), name, None, None) for name in sys.argv[1:4])
target = MergeTarget(a.path.parent, "merged", "0123456789abcdef")
before = status("VmRSS")
request = MergeRequest(interp_method="Add difference")
merge_checkpoints(request, [a, b, c], None, target, lambda share: None)
print(json.dumps(status("VmHWM") - before))
"""


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_merging_takes_a_few_tensors_of_memory_whatever_the_files(tmp_path: Path) -> None:
    """Pages of the files count too, as a limit on a container's memory counts them for a while."""
    paths = [write_hollow_checkpoint(tmp_path / f"{letter}.safetensors", 60, 10 << 20) for letter in "abc"]
    size = paths[0].stat().st_size / 2**20
    assert size > 1100  # MB
    command = [sys.executable, "-c", MERGE, *map(str, paths)]
    grown = json.loads(subprocess.check_output(command, text=True, timeout=250))
    assert (tmp_path / "merged.safetensors").stat().st_size >= size * 2**20
    # A tensor takes 40 MB in float32: A, B, C, their difference, and what is written.
    assert grown < 400, grown
