"""What every test stands on: quiet thread pools, no network library that looks for a hub, no silent skips in CI."""

import os

import pytest

# Both must be in the environment before torch or huggingface_hub are first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# The few that CI can't run however much is installed: it is root there.
SKIPS_THAT_STAND = ("root may write everywhere",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


def _skipped(config: pytest.Config) -> int:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return sum(not str(report.longrepr).rstrip("')").endswith(SKIPS_THAT_STAND) for report in reports)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI everything that a test needs is installed: one that is skipped there checks nothing, and nobody looks."""
    if os.environ.get("CI") == "true" and _skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if os.environ.get("CI") == "true" and _skipped(terminalreporter.config):
        terminalreporter.write_line("Tests were skipped; in CI that counts as a failure.", red=True)
