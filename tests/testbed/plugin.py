"""Gives tests the test bed: one real control plane per session, one namespace per test.

The workers of a parallel run (pytest-xdist) share one bed (`testbed.shared`): the first that needs
it has it started, and it ends with the process that leads them.

Owns the fixtures, and what becomes of tests marked `servers` on a machine without the servers: in
CI they fail, elsewhere they are skipped, and the last lines say so in capitals, because a green run
that proved nothing is worse than a red one.

A test never starts a build of eleven minutes by surprise: only CI and `PENSTOCK_BUILD=1` get what
is missing, elsewhere the servers are looked for and that is all.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from testbed import cluster, shared
from testbed.api import Kube
from testbed.bed import Bed
from testbed.binaries import BinariesMissing, ensure, search
from testbed.cache import Cache
from testbed.existing import is_true
from testbed.versions import BINARIES, SERVERS

Kubectl = Callable[..., subprocess.CompletedProcess[str]]

_HOW_TO_GET = "`PYTHONPATH=tests python -m testbed fetch [NAME ...]` or `make test` gets it."
_PATIENCE = 30.0
_SKIPPED = "skipped for want of servers"
_SHARED_BED, _LEADER = "testbed_folder", "testbed_leader"
_skipped: set[str] = set()
_started: list[Bed] = []
_shared: list[tempfile.TemporaryDirectory[str]] = []


class ServersMissing(Exception):
    """The text says which, and how to get them."""


@cache
def _servers(*more: str) -> Mapping[str, Path] | ServersMissing:
    """Looked for once per session, because asking seven programs for their version takes time."""
    names = (*SERVERS, *more)
    if is_true("CI") or is_true("PENSTOCK_BUILD"):
        try:
            return ensure(names)
        except BinariesMissing as error:
            return ServersMissing(str(error))
    found = {name: search(BINARIES[name], Cache()).found for name in names}
    missing = [name for name, place in found.items() if place is None]
    if missing:
        return ServersMissing(f"Missing: {', '.join(missing)}. {_HOW_TO_GET}")
    return {name: place.path for name, place in found.items() if place is not None}


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs = item.get_closest_marker("servers")
    if needs is None:
        return
    servers = _servers(*needs.args)
    if not isinstance(servers, ServersMissing):
        return
    if is_true("CI"):
        pytest.fail(str(servers), pytrace=False)
    item.user_properties.append((_SKIPPED, True))
    pytest.skip(str(servers))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Counted where the run ends: a worker's own count would never be seen."""
    if (_SKIPPED, True) in map(tuple, report.user_properties):
        _skipped.add(report.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells each worker of a parallel run where the shared bed is, or will be."""
    if not _shared:
        _shared.append(tempfile.TemporaryDirectory(prefix="penstock-tests-"))
    node.workerinput[_SHARED_BED] = str(Path(_shared[0].name) / "cluster")
    node.workerinput[_LEADER] = os.getpid()


def pytest_unconfigure() -> None:
    """Ends the shared bed, if any worker has needed it."""
    while _shared:
        folder = _shared.pop()
        cluster.end(Path(folder.name) / "cluster")
        folder.cleanup()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for bed in _started:
        terminalreporter.write_line(bed.summary)
    if _skipped:
        terminalreporter.write_line(
            f"{len(_skipped)} TESTS WERE SKIPPED: NO SERVERS. WHAT THEY TEST IS UNKNOWN. "
            f"{_HOW_TO_GET}",
            red=True,
            bold=True,
        )


@pytest.fixture(scope="session")
def servers() -> Mapping[str, Path]:
    """The binaries of the servers by name."""
    found = _servers()
    if isinstance(found, ServersMissing):
        pytest.fail(f"{found} Is the test marked `servers`?", pytrace=False)
    return found


@pytest.fixture(scope="session")
def bed(
    request: pytest.FixtureRequest,
    servers: Mapping[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bed]:
    """The session's test bed, with an audit log; who breaks it starts one of their own."""
    folder = tmp_path_factory.mktemp("bed")
    told: Mapping[str, Any] = getattr(request.config, "workerinput", {})
    if _SHARED_BED in told:
        kept, leader = Path(told[_SHARED_BED]), int(told[_LEADER])
        with shared.attach(kept, folder, leader, servers) as attached:
            yield attached
        return
    with Bed.start(folder, binaries=servers, audit=True) as running:
        _started.append(running)
        yield running


@pytest.fixture
def admin(bed: Bed) -> Kube:
    """Speaks to the API server as an administrator."""
    return bed.kube


@pytest.fixture
def namespace(request: pytest.FixtureRequest, admin: Kube) -> Iterator[str]:
    """A namespace of the test's own, ready for pods; its deletion is not waited for."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())
    name = f"{words[:40].strip('-')}-{secrets.token_hex(4)}"
    with namespace_of_name(admin, name):
        yield name


@contextlib.contextmanager
def namespace_of_name(admin: Kube, name: str) -> Iterator[None]:
    """A namespace that is ready for pods inside, and whose deletion is asked for outside."""
    admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    end = time.monotonic() + _PATIENCE
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    while admin.call("GET", account, ok=(404,)) is None:
        assert time.monotonic() < end, f"namespace {name} was given no service account"
        time.sleep(0.02)
    yield
    admin.call("DELETE", f"/api/v1/namespaces/{name}", ok=(404, 409))


@pytest.fixture
def kubectl(bed: Bed, namespace: str) -> Kubectl:
    """The pinned kubectl, as an administrator, in the test's namespace unless told otherwise."""

    def run(
        *arguments: str, stdin: str = "", timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        return bed.kubectl("--namespace", namespace, *arguments, stdin=stdin, timeout=timeout)

    return run
