"""Finding the card: by driver library, else by nvidia-smi, else not."""

import pytest

from modules.launch.machine import Completed
from modules.launch.nvidia import Nvidia, driver_cuda, find_nvidia
from tests.launch.fake_machine import Answer, FakeDriver, FakeMachine


@pytest.mark.parametrize("system", ["Linux", "Windows"])
def test_the_driver_library_is_read(system: str) -> None:
    machine = FakeMachine(system, driver=FakeDriver(12080, ("RTX 4090", (8, 9))))
    assert find_nvidia(machine) == Nvidia("RTX 4090", (12, 8), (8, 9))
    assert driver_cuda(machine) == (12, 8)
    assert machine.commands == [], "no program is started when the library answers"


def test_the_oldest_card_decides() -> None:
    machine = FakeMachine(driver=FakeDriver(13000, ("RTX 4090", (8, 9)), ("GTX 1060", (6, 1))))
    assert find_nvidia(machine) == Nvidia("GTX 1060", (13, 0), (6, 1))


def test_where_no_torch_serves_both_the_newest_decides() -> None:
    machine = FakeMachine(driver=FakeDriver(13000, ("RTX 5090", (12, 0)), ("GTX 1060", (6, 1))))
    assert find_nvidia(machine) == Nvidia("RTX 5090", (13, 0), (12, 0))
    both = Completed(0, "580.65, 6.1, GTX 1060\n580.65, 12.0, RTX 5090\n")
    assert find_nvidia(FakeMachine(programs=["nvidia-smi"], answers={"compute_cap": both})) == find_nvidia(machine)


@pytest.mark.parametrize(
    "driver",
    [None, FakeDriver(0, ("x", (8, 0))), FakeDriver(12080, ("x", (8, 0)), init=100), FakeDriver(12080)],
    ids=["no library", "no version", "cards hidden", "no card"],
)
@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
def test_no_card(system: str, driver: FakeDriver | None) -> None:
    assert find_nvidia(FakeMachine(system, driver=driver)) is None


@pytest.mark.parametrize(
    ("line", "card"),
    [
        ("580.65.06, 8.9, NVIDIA GeForce RTX 4090", Nvidia("NVIDIA GeForce RTX 4090", (13, 0), (8, 9))),
        ("572.16, 12.0, RTX 5090", Nvidia("RTX 5090", (12, 8), (12, 0))),
        ("535.183.01, [N/A], Tesla T4", Nvidia("Tesla T4", (12, 0), None)),
        ("470.1, 3.5, Tesla K40", Nvidia("Tesla K40", (11, 0), (3, 5))),
        ("391.35, 3.0, GTX 680", Nvidia("GTX 680", (10, 0), (3, 0))),
    ],
)
def test_nvidia_smi_is_the_second_witness(line: str, card: Nvidia) -> None:
    machine = FakeMachine(programs=["nvidia-smi"], answers={"compute_cap": Completed(0, line + "\n")})
    assert find_nvidia(machine) == card


def test_an_nvidia_smi_that_does_not_know_capabilities() -> None:
    answers: dict[str, Answer] = {
        "compute_cap": Completed(6, "Field not valid"),
        "driver_version,name": Completed(0, "525.60, Tesla T4\n"),
    }
    assert find_nvidia(FakeMachine(programs=["nvidia-smi"], answers=answers)) == Nvidia("Tesla T4", (12, 0), None)


@pytest.mark.parametrize("answer", [Completed(9, "driver not loaded"), Completed(0, ""), Completed(0, "garbage\n,,\n")])
def test_an_nvidia_smi_that_fails_means_no_card(answer: Completed) -> None:
    assert find_nvidia(FakeMachine(programs=["nvidia-smi"], answers={"nvidia-smi": answer})) is None
