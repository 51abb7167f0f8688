"""A container engine, where one runs: builds the operator's image and starts it.

Tests marked `engine` need one that answers, and a base image that is there or can be pulled. Few
machines have both, CI's own have none: without them these tests are skipped, and the last lines say
so in capitals. Who names an engine by ENGINE means it: then what is missing is a failure. What can
be known of the image without an engine is tested everywhere (tests/packaging/test_image.py).
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from functools import cache

import pytest

from support.admission_fixture import ROOT
from support.dockerfile import Dockerfile

NAMED = "ENGINE"
_SKIPPED = "skipped for want of an engine"
_HOW_TO_GET = "docs/image.md says how to start one by hand, and how to make a base image."
_skipped: dict[str, str] = {}


class EngineMissing(Exception):
    """The text says what is missing."""


def call(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it; its failure is the caller's to judge."""
    env = {**os.environ, **variables}
    try:
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


@cache
def found() -> str | EngineMissing:
    """The engine's command; looked for once per session."""
    named = os.environ.get(NAMED)
    answering = [one for one in (named or "docker podman").split() if _answers(one)]
    if not answering:
        return EngineMissing(f"No container engine answers ({named or 'docker, podman'}).")
    engine, base = answering[0], base_image()
    if call(engine, "image", "inspect", base).returncode:
        pulled = call(engine, "pull", base)
        if pulled.returncode:
            return EngineMissing(f"{engine} has no base image {base}: {pulled.stderr.strip()}")
    return engine


def base_image() -> str:
    """BASE, else the Dockerfile's own."""
    default = Dockerfile.read(ROOT / "Dockerfile").all("ARG")[0].removeprefix("BASE=")
    return os.environ.get("BASE") or default


def _answers(engine: str) -> bool:
    return call(engine, "version").returncode == 0


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fails or skips what is marked."""
    if item.get_closest_marker("engine") is None or not isinstance(found(), EngineMissing):
        return
    reason = f"{found()} {_HOW_TO_GET}"
    if os.environ.get(NAMED):
        pytest.fail(reason, pytrace=False)
    item.user_properties.append((_SKIPPED, reason))
    pytest.skip(reason)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counted where the run ends: a worker's own count would never be seen."""
    for name, reason in report.user_properties:
        if name == _SKIPPED:
            _skipped[report.nodeid] = str(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what a green run has not proved."""
    if _skipped:
        terminalreporter.write_line(
            f"{len(_skipped)} TESTS OF THE IMAGE WERE SKIPPED: {next(iter(_skipped.values()))}",
            red=True,
            bold=True,
        )


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """The operator's image, built as `make image` builds it, removed at the end."""
    engine, name = str(found()), f"penstock-test:{secrets.token_hex(4)}"
    built = call("./hack/image", IMAGE=name, ENGINE=engine)
    assert built.returncode == 0, built.stdout + built.stderr
    yield name
    call(engine, "image", "rm", "--force", name)
