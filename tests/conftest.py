"""What every test stands on: quiet thread pools, no network library that looks for a hub, no silent skips in CI.

Also the two sizes of the suite (`--long`), and which tests share a worker when several run side by side.
"""

import gc
import os
import sys
from pathlib import Path

import hypothesis
import pytest

# These must be in the environment before torch or huggingface_hub are first imported. One thread: sums then always add
# up in the same order, and on a busy machine several threads wait for each other longer than they work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# A property is tried with the same few examples each time, so that a submission fails for what it changed; the long
# suite draws many, and others each time.
BUSY = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile(
    "short", max_examples=20, deadline=None, derandomize=True, suppress_health_check=BUSY
)
hypothesis.settings.register_profile(
    "long", max_examples=1000, deadline=None, print_blob=True, suppress_health_check=BUSY
)

# The few that CI can't run however much is installed: it is root there.
SKIPS_THAT_STAND = ("root may write everywhere",)

# Folders whose tests share one server: they run in one worker.
ONE_SERVER = ("api", "browser", "endtoend")
# What takes longest begins first, so that no worker is left alone with it at the end.
FIRST = ("browser", "endtoend", "api", "engine", "jobs", "server")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long suite too: by hand, before a release")


def pytest_configure(config: pytest.Config) -> None:
    # Nothing that is imported is garbage: not looked through again and again while thousands of modules come in.
    gc.disable()
    long = config.getoption("--long")
    hypothesis.settings.load_profile("long" if long else "short")
    # In the environment, for workers and for numbers that a module takes when it is imported (tests/amounts.py).
    os.environ["TESTS_LONG"] = "1" if long else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only the long suite does; keep the tests of one server together, and the slow folders first."""
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    here = Path(__file__).parent
    for item in items:
        if item.get_closest_marker("xdist_group") is None and item.path.is_relative_to(here):
            file = item.path.relative_to(here)
            shared = file.parts[0] in ONE_SERVER
            item.add_marker(pytest.mark.xdist_group(file.parts[0] if shared else file.with_suffix("").as_posix()))
    items.sort(key=lambda item: (_turn(item.path.parent.name), _page_of(item)))


def pytest_collection_finish() -> None:
    """What was imported stays: a collection of garbage, which some tests make each time, need not look through it."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _turn(folder: str) -> int:
    return FIRST.index(folder) if folder in FIRST else len(FIRST)


def _page_of(item: pytest.Item) -> int:
    """Tests of the page that stays open come one after another (`settled` in tests/browser/conftest.py)."""
    fixtures = getattr(item, "fixturenames", ())
    return next((turn for turn, name in enumerate(("settled", "settled_phone")) if name in fixtures), 2)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return sum(not str(report.longrepr).rstrip("')").endswith(SKIPS_THAT_STAND) for report in reports)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that a test needs is installed: one that is skipped there checks nothing, and nobody looks."""
    if os.environ.get("CI") == "true" and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def forked_engines() -> None:
    """Engines that this process starts are forked from one that has imported torch."""
    if sys.platform == "linux":
        from tests.server.forked_children import ForkingPopen

        ForkingPopen.install_beside()


def _seconds_by_part(reporter: pytest.TerminalReporter) -> dict[str, float]:
    """Seconds of all tests of each folder, the dearest first."""
    seconds: dict[str, float] = {}
    for reports in reporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                part = report.nodeid.split("/")[1] if report.nodeid.count("/") > 1 else "tests"
                seconds[part] = seconds.get(part, 0.0) + report.duration
    return dict(sorted(seconds.items(), key=lambda pair: -pair[1]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    parts = _seconds_by_part(terminalreporter)
    if sum(parts.values()) > 60:
        line = ", ".join(f"{part} {total:.0f}" for part, total in parts.items() if total >= 1)
        terminalreporter.write_line(f"Seconds by part, all workers together: {line}")
    if os.environ.get("CI") == "true" and _skipped(terminalreporter.config):
        terminalreporter.write_line("Tests were skipped; in CI that counts as a failure.", red=True)
