"""With `--minutes` a run ends with the time that it took, folder by folder, and its slowest tests.

Set-up and end of a test count as its own, also when they are shared: of a module's fixtures the
first test bears the cost. With several processes the minutes are a sum, more than the run took.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

SHOWN = 20


class Durations:
    """Seconds of each test by its node id: set-up, call and end together."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of a test; in a parallel run it comes from the process that ran it."""
        self.add(report.nodeid, report.duration)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Both tables."""
        terminalreporter.section("where the time went")
        for line in self.lines():
            terminalreporter.write_line(line)

    def add(self, test: str, seconds: float) -> None:
        """Count these seconds for this test."""
        self._seconds[test] += seconds

    def lines(self) -> list[str]:
        """Folders by their minutes, then the slowest tests by their seconds."""
        folders: defaultdict[str, list[float]] = defaultdict(list)
        for test, seconds in self._seconds.items():
            folders[folder(test)].append(seconds)
        folders_by_time = sorted(folders.items(), key=lambda one: -sum(one[1]))
        slowest = sorted(self._seconds.items(), key=lambda one: -one[1])[:SHOWN]
        return [
            "minutes  tests  folder",
            *(f"{sum(times) / 60:7.1f}  {len(times):5}  {name}" for name, times in folders_by_time),
            f"{sum(self._seconds.values()) / 60:7.1f}  {len(self._seconds):5}  all",
            "seconds  slowest tests",
            *(f"{seconds:7.1f}  {test}" for test, seconds in slowest),
        ]


def folder(test: str) -> str:
    """The first two folders of a test's path, as in ``tests/integration``."""
    folders = test.partition("::")[0].split("/")[:-1]
    return "/".join(folders[:2]) or "."


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--minutes", action="store_true", help="end with the minutes of each folder of tests"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("minutes") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Durations())
