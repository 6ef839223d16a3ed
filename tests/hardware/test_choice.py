"""Every choice, on machines that need not be this one."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from modules.hardware.attention import AttentionRequest
from modules.hardware.choice import HardwareError, HardwareRequest, choose_hardware, prepare_torch
from modules.hardware.machine import CudaDevice, Machine, has_kernels, physical_cores, probe_machine

GIB = 1 << 30
RTX = CudaDevice(0, "NVIDIA GeForce RTX 4090", (8, 9), 24 * GIB)
GTX1660 = CudaDevice(0, "NVIDIA GeForce GTX 1660 SUPER", (7, 5), 6 * GIB)
GTX1660_SECOND = replace(GTX1660, index=1)
GTX1080 = CudaDevice(0, "NVIDIA GeForce GTX 1080", (6, 1), 8 * GIB)
RTX2060 = CudaDevice(1, "NVIDIA GeForce RTX 2060", (7, 5), 6 * GIB)
GTX750 = CudaDevice(0, "NVIDIA GeForce GTX 750 Ti", (5, 0), 2 * GIB)
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16


def chosen(machine: Machine, **requested: object) -> tuple[str, torch.dtype, torch.dtype]:
    hardware = choose_hardware(HardwareRequest(**requested), machine)  # type: ignore[arg-type]  # fields of any type
    return str(hardware.device), hardware.unet_dtype, hardware.vae_dtype


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (Machine(), ("cpu", FP32, FP32)),
        (Machine(cpu_amx=True), ("cpu", BF16, BF16)),
        (Machine(cpu_avx512_bf16=True), ("cpu", BF16, BF16)),
        (Machine(mps=True), ("mps", FP16, FP32)),
        (Machine(cuda=(RTX,), mps=True), ("cuda:0", FP16, FP16)),
        (Machine(cuda=(GTX1080,)), ("cuda:0", FP16, FP16)),
        (Machine(cuda=(GTX1660,)), ("cuda:0", FP16, FP32)),
        (Machine(cuda=(GTX750,)), ("cuda:0", FP32, FP32)),
    ],
    ids=lambda value: value.cuda[0].name if isinstance(value, Machine) and value.cuda else None,
)
def test_what_a_machine_gets_without_flags(machine: Machine, expected: tuple[object, ...]) -> None:
    assert chosen(machine) == expected


@pytest.mark.parametrize("machine", [Machine(cuda=(RTX,)), Machine(mps=True), Machine(cpu_amx=True)])
@pytest.mark.parametrize("requested", [{"no_half": True}, {"precision": "full"}])
def test_full_precision_is_full_everywhere(machine: Machine, requested: dict[str, object]) -> None:
    assert chosen(machine, **requested)[1:] == (FP32, FP32)


@pytest.mark.parametrize("machine", [Machine(cuda=(RTX,)), Machine(mps=True), Machine(cpu_amx=True)])
def test_no_half_vae_concerns_the_vae_only(machine: Machine) -> None:
    _, unet, vae = chosen(machine, no_half_vae=True)
    assert unet is not FP32 and vae is FP32
    # An Apple GPU's VAE is in fp32 whatever is requested.
    assert machine.mps or "as --no-half-vae asks" in choose_hardware(HardwareRequest(no_half_vae=True), machine).why


def test_a_cpu_never_gets_fp16() -> None:
    for machine in (Machine(), Machine(cpu_amx=True), Machine(cpu_avx512_bf16=True), Machine(cuda=(RTX,))):
        for precision in ("autocast", "half", "full"):
            for no_half in (False, True):
                hardware = choose_hardware(HardwareRequest(use_cpu=True, precision=precision, no_half=no_half), machine)
                assert FP16 not in (hardware.unet_dtype, hardware.vae_dtype, hardware.text_dtype)


def test_a_cpu_gets_channels_last_and_an_exact_text_encoder() -> None:
    hardware = choose_hardware(HardwareRequest(), Machine(cpu_amx=True, physical_cores=6))
    assert hardware.channels_last and hardware.text_dtype is FP32 and hardware.threads == 6
    assert "bf16" in hardware.why and "AMX" in hardware.why
    assert choose_hardware(HardwareRequest(threads=3), Machine(physical_cores=6)).threads == 3


def test_use_cpu_beats_a_gpu() -> None:
    assert chosen(Machine(cuda=(RTX,), mps=True), use_cpu=True)[0] == "cpu"


def test_device_id_chooses_among_gpus() -> None:
    machine = Machine(cuda=(RTX, RTX2060))
    assert chosen(machine, device_id=1)[0] == "cuda:1"
    with pytest.raises(HardwareError, match=r"--device-id 2 names no device; there are: 0 \(.*4090\), 1 \(.*2060\)"):
        chosen(machine, device_id=2)


def test_device_id_without_gpus_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen(Machine(), device_id=1)[0] == "cpu"
    assert "--device-id 1 has no effect" in caplog.text


@pytest.mark.parametrize(
    ("device", "benchmark"),
    [(GTX1660, True), (CudaDevice(0, "NVIDIA T1200 Laptop GPU", (7, 5), GIB), True), (RTX, False), (RTX2060, False),
     (CudaDevice(0, "Tesla T4", (7, 5), 16 * GIB), False), (CudaDevice(0, "Quadro RTX 4000", (7, 5), 8 * GIB), False)],
    ids=lambda value: value.name if isinstance(value, CudaDevice) else None,
)  # fmt: skip
def test_turing_without_tensor_cores_is_treated_with_care(device: CudaDevice, benchmark: bool) -> None:
    hardware = choose_hardware(HardwareRequest(device_id=device.index), Machine(cuda=(device,)))
    assert hardware.cudnn_benchmark is benchmark
    assert hardware.vae_dtype is (FP32 if benchmark else FP16)


@pytest.mark.parametrize(
    ("machine", "expected", "warned"),
    [(Machine(cuda=(RTX,), xformers=True), "xformers", ""),
     (Machine(cuda=(RTX,)), "sdp", "not installed"),
     (Machine(xformers=True), "sdp", "CUDA devices only")],
)  # fmt: skip
def test_xformers_where_it_works_else_sdpa_and_one_warning(
    machine: Machine, expected: str, warned: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert (
            choose_hardware(HardwareRequest(attention=AttentionRequest("xformers")), machine).attention.name == expected
        )
    assert len(caplog.records) == bool(warned) and warned in caplog.text


def test_the_default_attention_is_sdpa_and_others_are_taken() -> None:
    assert choose_hardware(HardwareRequest(), Machine(cuda=(RTX,), xformers=True)).attention.name == "sdp"
    assert (
        choose_hardware(HardwareRequest(attention=AttentionRequest("sub-quad")), Machine()).attention.name == "sub-quad"
    )


def test_this_machine_can_be_probed() -> None:
    machine = probe_machine()
    assert machine.physical_cores >= 1
    assert physical_cores() == machine.physical_cores
    hardware = choose_hardware()
    assert hardware.why and hardware.device.type in ("cpu", "cuda", "mps")


def test_torch_is_prepared_as_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    try:
        prepare_torch(choose_hardware(HardwareRequest(threads=2, device_id=1), Machine(cuda=(RTX, GTX1660_SECOND))))
        assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == (2, True)
        assert current == [torch.device("cuda", 1)]
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.benchmark = before[1]


CU126, CU130 = (["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"], ["sm_75", "sm_86", "sm_120"])


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((6, 1), CU126, True),
        ((6, 1), CU130, False),
        ((8, 9), CU126, True),
        ((12, 0), CU126, False),
        ((12, 0), CU130, True),
        ((12, 1), CU130, True),
        ((10, 0), [*CU126, "compute_90"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_90a"], True),
        ((11, 0), ["gfx1100"], True),
        ((8, 6), [], True),
    ],
)
def test_a_card_runs_what_was_compiled_for_it(capability: tuple[int, int], built_for: list[str], runs: bool) -> None:
    assert has_kernels(capability, built_for) is runs


def test_a_card_without_kernels_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {0: ("RTX 5070", 12, 0), 1: ("RTX 3060", 8, 6)}

    def properties(index: int) -> SimpleNamespace:
        name, major, minor = cards[index]
        return SimpleNamespace(name=name, major=major, minor=minor, total_memory=1)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: CU126)
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    machine = probe_machine()
    assert [device.index for device in machine.cuda] == [1] and len(machine.unusable) == 1
    assert choose_hardware(HardwareRequest(), machine).device == torch.device("cuda", 1)
    del cards[1]
    alone = choose_hardware(HardwareRequest(), probe_machine())
    assert alone.device.type == "cpu" and "no kernels for RTX 5070: start with --reinstall-torch" in alone.why


def test_a_build_for_cards_that_finds_none_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a suspend, or with a driver that is too old, the processor works, and nobody would know why."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "CUDA 13.0, but finds no card" in choose_hardware(HardwareRequest(), probe_machine()).why
    assert "finds no card" not in choose_hardware(HardwareRequest(use_cpu=True), probe_machine()).why
