"""Which torch: every system, card and driver, and what the person chose."""

import json

import pytest

from modules.launch.machine import Completed, LaunchError
from modules.launch.nvidia import Nvidia
from modules.launch.torch_choice import TORCH, TORCH_INDEX, choose_torch, plain_build
from tests.launch.fake_machine import FakeMachine

PLAIN = ("pip", "install", TORCH)


def build(name: str) -> tuple[str, ...]:
    return (*PLAIN, "--index-url", f"{TORCH_INDEX}/{name}")


def card(cuda: tuple[int, int], capability: tuple[int, int] | None = (8, 9)) -> Nvidia:
    return Nvidia("a card", cuda, capability)


@pytest.mark.parametrize(
    ("system", "nvidia", "attempts"),
    [
        ("Linux", card((13, 0)), (PLAIN, build("cu130"), build("cu129"), build("cu126"))),
        ("Windows", card((13, 0)), (build("cu130"), build("cu126"))),
        ("Linux", card((12, 8)), (build("cu129"), build("cu126"))),
        ("Windows", card((12, 9)), (build("cu126"),)),
        ("Linux", card((12, 4)), (build("cu126"),)),
        ("Windows", card((12, 0), None), (build("cu126"),)),
        ("Linux", card((13, 0), (6, 1)), (build("cu126"),)),
        ("Windows", card((13, 0), (7, 0)), (build("cu126"),)),
        ("Linux", card((13, 0), (12, 0)), (PLAIN, build("cu130"), build("cu129"))),
        ("Windows", card((13, 0), (12, 0)), (build("cu130"),)),
        ("Linux", card((12, 8), (12, 0)), (build("cu129"),)),
    ],
    ids=[
        *("new", "new win", "12.8", "12.9 win", "12.4", "unknown age", "Pascal", "Volta"),
        *("Blackwell", "Blackwell win", "Blackwell 12.8"),
    ],
)
def test_nvidia(system: str, nvidia: Nvidia, attempts: tuple[tuple[str, ...], ...]) -> None:
    plan = choose_torch(FakeMachine(system), nvidia)
    assert plan.attempts == attempts and plan.cuda and not plan.warning
    assert plan.label.startswith("CUDA 1") and "a card" in plan.label


@pytest.mark.parametrize("system", ["Linux", "Windows"])
def test_an_old_driver_means_the_cpu_and_says_so(system: str) -> None:
    plan = choose_torch(FakeMachine(system), card((11, 8)))
    assert not plan.cuda and "speaks CUDA 11.8" in plan.warning and "--reinstall-torch" in plan.warning


@pytest.mark.parametrize(("system", "cuda"), [("Linux", (12, 4)), ("Windows", (12, 9))])
def test_a_card_newer_than_its_driver_is_said_and_gets_the_build_that_a_new_driver_can_use(
    system: str, cuda: tuple[int, int]
) -> None:
    plan = choose_torch(FakeMachine(system), card(cuda, (12, 0)))
    assert "update the NVIDIA driver" in plan.warning and plan.attempts[-1] == build("cu130")


def test_every_build_is_one_that_this_torch_has_with_kernels_for_the_card() -> None:
    from torch.cuda import PYTORCH_RELEASES_CODE_CC

    there = {f"cu{cuda.replace('.', '')}": arches["x86_64"] for cuda, arches in PYTORCH_RELEASES_CODE_CC.items()}
    for system in ("Linux", "Windows"):
        for cuda in ((12, 0), (12, 6), (12, 8), (12, 9), (13, 0), (13, 2)):
            for major, minor in ((5, 2), (6, 1), (7, 0), (7, 5), (8, 6), (8, 9), (12, 0)):
                for *_, index in choose_torch(FakeMachine(system), card(cuda, (major, minor))).attempts:
                    if index != TORCH:
                        kernels = there[index.rpartition("/")[2]]
                        assert any(one // 10 == major and one % 10 <= minor for one in kernels), (cuda, major, index)


def test_without_a_card_linux_takes_the_cpu_build_and_falls_back_to_the_plain_one() -> None:
    assert choose_torch(FakeMachine("Linux"), None).attempts == (build("cpu"), PLAIN)
    assert choose_torch(FakeMachine("Linux"), None, plain_is_cpu=True).attempts == (PLAIN,)


@pytest.mark.parametrize(("system", "arch"), [("Windows", "amd64"), ("Darwin", "arm64")])
def test_elsewhere_the_plain_package_serves(system: str, arch: str) -> None:
    plan = choose_torch(FakeMachine(system, arch), None)
    assert plan.attempts == (PLAIN,) and not plan.cuda


def test_intel_macs_are_refused() -> None:
    with pytest.raises(LaunchError, match="Macs with Intel processors"):
        choose_torch(FakeMachine("Darwin", "x86_64"), None)


@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
def test_torch_command_goes_before_every_rule(system: str) -> None:
    machine = FakeMachine(system, environ={"TORCH_COMMAND": 'pip install torch==2.9 --index-url "https://x/y"'})
    assert choose_torch(machine, card((13, 0))).attempts == (
        ("pip", "install", "torch==2.9", "--index-url", "https://x/y"),
    )


def test_torch_index_url() -> None:
    machine = FakeMachine(environ={"TORCH_INDEX_URL": "https://mirror/cu126"})
    assert choose_torch(machine, None).attempts == ((*PLAIN, "--index-url", "https://mirror/cu126"),)


def report(version: str) -> str:
    return "WARNING: something first\n" + json.dumps({"install": [{"metadata": {"version": version}}]}) + "\n"


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        (Completed(0, report("2.13.0+cpu")), "2.13.0+cpu"),
        (Completed(0, report("2.13.0")), "2.13.0"),
        (Completed(1, "ERROR: no network"), ""),
        (Completed(0, "{broken"), ""),
        (Completed(0, '{"install": []}'), ""),
    ],
)
def test_what_the_plain_package_would_be(answer: Completed, version: str) -> None:
    assert plain_build(FakeMachine(answers={"--dry-run": answer}), "python") == version
