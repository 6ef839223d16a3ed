"""Each benchmark does its work at toy size, so that none of them rots between the days it is run.

That is work for the long suite; every run imports them all and sees that each has its test here.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import torch

from benchmarks import (
    api_memory,
    api_progress,
    cards,
    checkpoint_load,
    control_cost,
    exactness,
    extraction,
    features_off,
    gallery_index,
    gallery_scroll,
    hires_memory,
    memory_modes,
    merging,
    networks,
    on_cuda,
    other_programs,
    page_cost,
    saving,
    start_up,
    step_loop,
    token_merging,
    unet_dtype,
    whole_picture,
)
from modules.hardware import choice
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.parameters.samplers import SAMPLERS
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import SD15, TINY_SDXL, Architecture, write_tiny_checkpoint
from tests.server.server import ROOT, Server

FAKE = "tests.server.fake_engine_server"
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Benchmarks set up their process, which here is that of all tests."""
    monkeypatch.setattr(choice, "keep_freed_memory", lambda: True)
    threads, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    yield
    torch.set_num_threads(threads)
    torch.set_grad_enabled(gradients)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "sd15-size.safetensors")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), "--nowebui", module=FAKE) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, verify=False, timeout=60) as line:
        yield line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`main` of a benchmark with these words on its command line; what it prints."""

    def main(benchmark: ModuleType, *words: object) -> str:
        monkeypatch.setattr("sys.argv", [benchmark.__name__, *map(str, words)])
        benchmark.main()
        return capsys.readouterr().out

    return main


def cells(line: str) -> list[float]:
    """The figures in a row of a table, its name left out."""
    return [float(cell) for cell in line.strip("| \n").split("|")[1:] if cell.strip()]


def row(printed: str, name: str) -> list[float]:
    return cells(next(line for line in printed.splitlines() if line.startswith(f"| {name}")))


def test_every_benchmark_has_a_test() -> None:
    """One of these, or one elsewhere that runs it at small size."""
    names = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert len(names) >= 15
    here = {name for name, value in globals().items() if isinstance(value, ModuleType)}
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in sorted(names - here) if f"from benchmarks.{name} import" not in tests] == []


@pytest.mark.long
def test_what_servers_hold(server: Server, client: httpx.Client) -> None:
    def job(number: int) -> None:
        client.post("/sdapi/v1/txt2img", json=api_memory.SMALL | {"seed": number}).raise_for_status()

    assert api_memory.drift(server, job, warm=1, count=1).keys() == {"server", "engine"}
    assert min(api_memory.resident(server).values()) > 1e6


@pytest.mark.long
def test_progress_is_timed_while_checkpoints_are_switched(server: Server) -> None:
    prober = api_progress.Prober(server.url)
    with prober.probing():
        api_progress.switch_checkpoints(server.url, 2)
    count, *percentiles = cells(prober.line("two loads"))
    assert count == len(prober.seconds) >= 1 and percentiles == sorted(percentiles)
    assert api_progress.cpu_of_one(server, 20) >= 0


@pytest.mark.long
def test_saving(server: Server, client: httpx.Client) -> None:
    wall, cpu = saving.measured(server, client, save=True)
    assert wall > 0 and cpu >= 0


@pytest.mark.long
def test_cards() -> None:
    printed = cards.measure(files=30, layers=2, rounds=8)
    assert "30 LoRAs" in printed and "next start (0 unread)" in printed
    assert printed.count(" ms |") == 6


@pytest.mark.long
def test_starts(tmp_path: Path) -> None:
    start = start_up.started(tmp_path, FAKE)
    assert 0 < start.port <= start.page <= start.ready
    assert start.torch is False and start.cpu is not None and start.cpu > 0


@pytest.mark.long
def test_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    page_cost.main(["--repeats", "1"])
    assert "| second load kilobytes |" in capsys.readouterr().out


@pytest.mark.long
def test_loading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {suffix: write_tiny_checkpoint(tmp_path / f"tiny.{suffix}") for suffix in ("safetensors", "ckpt")}
    checkpoint_load.compare_loading(files, torch.device("cpu"), 1)
    checkpoint_load.switch(files, torch.device("cpu"), 1)
    printed = capsys.readouterr().out
    assert all(len(row(printed, case[0])) == 6 for case in checkpoint_load.CASES)
    assert min(row(printed, "1")) > 0


@pytest.mark.long
def test_extraction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extraction.run(tmp_path, Architecture(), 2, 2)
    assert capsys.readouterr().out.splitlines()[-1].startswith("| 2 | 2 | ")


@pytest.mark.long
def test_merging(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    merging.run(tmp_path, Architecture())
    assert capsys.readouterr().out.count("| 0.0 |") == len(merging.METHODS)


@pytest.mark.long
def test_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "write_sd15_size_checkpoint", write_tiny_checkpoint)
    networks.run(tmp_path, 1, 2, 4)
    printed = capsys.readouterr().out
    assert printed.count("weighed anew") == 4 and min(row(printed, "4")) > 0


@pytest.mark.long
def test_loading_of_two_families(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: dict[str, Any] = {"vae_channels": (32, 32), "norm_num_groups": 32}  # as files that state nothing are read
    monkeypatch.setattr(
        checkpoint_load, "SDXL_BASE", replace(TINY_SDXL, unet_channels=(64, 128), heads=(1, 2), **whole)
    )
    monkeypatch.setattr(checkpoint_load, "SD15", Architecture(**whole))
    checkpoint_load.sdxl(tmp_path, choose_hardware(HardwareRequest(use_cpu=True)), 1, 2)
    printed = capsys.readouterr().out
    assert "load / read" in printed and min(row(printed, "1 SD 1.5")) > 0


@pytest.mark.long
def test_exactness(tmp_path: Path) -> None:
    entry = next(entry for entry in SAMPLERS if entry.label == "LCM")
    measured = exactness.measure(entry)
    assert measured.difference < 1e-4
    page = exactness.PAGE.read_text("utf-8")
    written = exactness.replaced(page, exactness.measured([measured]))
    assert "| LCM |" in written and "| Euler a |" in page and "| Euler a |" not in written
    assert written.partition("\n## Noise, schedules")[2] == page.partition("\n## Noise, schedules")[2]


@pytest.mark.long
def test_memory_of_a_vae(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(hires_memory, "SD15", Architecture())
    hires_memory.vae_alone(64, torch.float32)
    assert '"what": "decode and encode 64x64"' in capsys.readouterr().out


@pytest.mark.long
def test_memory_of_a_hires_pass(capsys: pytest.CaptureFixture[str]) -> None:
    hires_memory.demo(192, torch.float32)
    assert '"what": "hires pass to 192x192"' in capsys.readouterr().out


@pytest.mark.long
def test_memory_modes(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """A small picture in lowvram, counted, and streaming with a small UNet."""
    for benchmark in (memory_modes, unet_dtype):
        monkeypatch.setattr(benchmark, "SD15", Architecture())
    planned, counted = memory_modes.counted("SD1.5", 256, "lowvram")
    assert 0 < counted <= 1.05 * planned
    monkeypatch.setattr(memory_modes, "PICTURES", ())
    printed = run(memory_modes, "--stream", 64, "--rounds", 1)
    plain, streamed, copies, ratio, _ = row(printed, "64²")
    assert min(plain, streamed, copies) >= 0 and ratio > 0


def test_the_second_text_encoder_of_sdxl_has_its_published_size() -> None:
    with torch.device("meta"):
        assert sum(value.numel() for value in memory_modes.big_g().parameters()) == 694_659_840


@pytest.mark.long
def test_number_types(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(unet_dtype, "SD15", Architecture(text_hidden=768, text_heads=12))
    printed = run(unet_dtype, "--side", 64, "--repeats", 1)
    assert printed.count("| float32 |") == printed.count("| bfloat16 |") == 2


@pytest.mark.long
def test_what_a_control_model_costs(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(unet_dtype, "SD15", replace(SD15, text_layers=1))
    added, off = row(run(control_cost, "--side", 64, "--rounds", 1), "64²")[-2:]
    assert added > 0 and off > 0


def test_features_that_are_off_cost_nothing_in_a_step(checkpoint: Path, run: Run) -> None:
    """By counts: one more step of the same pass calls as many functions with all features off as without any."""
    printed = run(features_off, "--steps", 2, 4, "--rounds", 1, "--checkpoint", checkpoint)
    (without, off, more, again), (_, _, later, each) = (row(printed, f"{steps} |") for steps in (2, 4))
    assert off - without == more == later and again == each == 0
    # Some hundred functions, once for a pass: with every feature hooked in they were thousands.
    assert 0 < more < 500


@pytest.mark.long
def test_merged_tokens(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(unet_dtype, "SD15", Architecture(text_hidden=768, text_heads=12))
    printed = run(token_merging, "--sides", 64, "--rounds", 1)
    assert len(row(printed, "64²")) == 1 + len(token_merging.RATIOS)


@pytest.mark.long
def test_the_step_loop_and_the_bare_unet(checkpoint: Path) -> None:
    engine = whole_picture.webui_pipeline(checkpoint, choose_hardware())
    loop, bare, ratio, cpu = step_loop.measure(engine, side=64, steps=2, rounds=1)
    assert min(loop, bare, ratio, cpu) > 0


@pytest.mark.long
@pytest.mark.parametrize("against", ["fp32", "same"])
def test_whole_pictures(checkpoint: Path, run: Run, against: str) -> None:
    printed = run(whole_picture, "--against", against, "--side", 64, "--steps", 3, "--checkpoint", checkpoint)
    assert len(row(printed, "here")) == len(row(printed, f"diffusers, {against}")) == 4
    assert float(printed.rpartition("diffusers / here: ")[2]) > 0


@pytest.mark.long
def test_what_is_measured_on_cuda_without_it(checkpoint: Path, run: Run) -> None:
    sizes = ("--side", 64, "--steps", 1, "--rounds", 1)
    printed = run(on_cuda, "--device", "cpu", *sizes, "--checkpoint", checkpoint)
    assert all(f"| {way[0]} |" in printed for way in on_cuda.WAYS)


@pytest.mark.long
def test_other_programs_take_turns_with_ours(checkpoint: Path) -> None:
    """What happens in a program's process, in a thread: its first picture, one for each word, and its end."""
    picture = other_programs.Picture(checkpoint, checkpoint.parent, 64, 2)
    line, far = multiprocessing.Pipe()
    served = threading.Thread(target=other_programs.serve, args=(far, other_programs.OURS, picture))
    served.start()
    assert line.recv() is None

    def draw() -> whole_picture.Parts:
        line.send(True)
        drawn: whole_picture.Parts = line.recv()
        return drawn

    both = other_programs.compare(draw, draw, 1)
    assert all(len(parts.steps) == len(parts.end) == 1 for parts in both)
    step, end, whole = other_programs.seconds(both[0])
    assert whole == pytest.approx(20 * step + end)
    line.send(False)
    served.join(60)
    assert not served.is_alive()


@pytest.mark.long
def test_what_openvino_converts_is_the_model(checkpoint: Path) -> None:
    model = load_checkpoint(checkpoint, dtype=torch.float32)
    inputs = other_programs.inputs_of(model, 64)
    with torch.no_grad():
        assert other_programs.Step(model)(*inputs["unet"]).shape == (2, 4, 8, 8)
        assert other_programs.Decode(model)(*inputs["vae"]).shape == (1, 3, 64, 64)


@pytest.mark.long
def test_the_gallerys_index() -> None:
    lines = gallery_index.table([40], files=40, rounds=2).splitlines()
    assert lines[0].startswith("40 PNG files of 512²")
    assert lines[-1].startswith("| 40 |")


@pytest.mark.long
@pytest.mark.browser
def test_scrolling_the_gallery(run: Run) -> None:
    lines = run(gallery_scroll, "--pictures", 60).splitlines()
    assert lines[0].startswith("60 files")
    assert sum(line.startswith("| phone") for line in lines) == 4


def test_a_program_that_is_not_installed_is_left_out_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = other_programs.Program("no_such_package", other_programs.ours, "")
    monkeypatch.setitem(other_programs.PROGRAMS, "absent", absent)
    monkeypatch.setitem(other_programs.PROGRAMS, "ours", other_programs.OURS)
    monkeypatch.setitem(other_programs.INSTALL, "no_such_package", "pip install it")
    assert other_programs.installed(["absent", "ours"]) == ["ours"]
    assert capsys.readouterr().out.startswith("no_such_package is not installed and left out: pip install it")
