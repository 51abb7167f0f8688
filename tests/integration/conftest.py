"""The whole operator on the session's test bed, and stories told on it.

The operator of a module watches all namespaces, and ends with the module: others start theirs.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator

import pytest

from support.gates import ADMISSION, Server, Workload, closed, until
from support.penstock_run import Operator
from support.story import Story
from support.traffic import Traffic, running
from testbed.bed import Bed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """At the end of a failed story: its objects and the operator's last words."""
    report = yield
    story = getattr(item, "funcargs", {}).get("story")
    if call.when == "call" and report.failed and isinstance(story, Story):
        report.sections.append((f"objects in {story.namespace}", story.describe()))
        report.sections.append(("log of the operator", story.operator.last_words()))
    return report


@pytest.fixture(scope="session")
def policies(bed: Bed) -> Bed:
    """The session's test bed with the policies of deploy/admission in effect."""
    server = Server(bed)
    server.do("apply", "-k", str(ADMISSION))
    namespace = f"policies-{secrets.token_hex(4)}"
    server.do("create", "namespace", namespace)
    trial = Workload(server, namespace)
    trial.create()
    trial.write_record(closed("checkout"))
    until(trial.refuses)
    server.do("delete", "namespace", namespace, "--wait=false")
    return bed


@pytest.fixture(scope="module")
def traffic(bed: Bed) -> Iterator[Traffic]:
    """Services under load, in a namespace of their own."""
    namespace = f"traffic-{secrets.token_hex(4)}"
    bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    with running(bed, namespace) as found:
        yield found
    bed.kube.call("DELETE", f"/api/v1/namespaces/{namespace}")


@pytest.fixture(scope="module")
def operator(policies: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """One operator for all stories of a module."""
    log = tmp_path_factory.mktemp("operator") / "penstock.log"
    with Operator(policies, log) as running_operator:
        yield running_operator


@pytest.fixture
def story(bed: Bed, namespace: str, operator: Operator, traffic: Traffic) -> Story:
    """A namespace of the test's own, watched by the module's operator."""
    return Story(bed, namespace, operator, traffic)
