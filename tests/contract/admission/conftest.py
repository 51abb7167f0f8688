"""The shipped policies, installed as people do it, and a Deployment behind a gate."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.admission_fixture import Server, Workload, with_policies
from testbed.bed import Bed


@pytest.fixture(scope="session")
def server(bed: Bed) -> Server:
    """The session's API server with the policies of deploy/admission, in effect."""
    return with_policies(bed)


@pytest.fixture
def checkout(server: Server, namespace: str) -> Iterator[Workload]:
    """A Deployment `checkout` without a GateRecord.

    `failurePolicy: Ignore` turns an error in an expression into a silent pass, so each test asks
    the server afterwards whether there were any.
    """
    before = server.evaluation_errors()
    workload = Workload(server, namespace)
    workload.create()
    yield workload
    assert server.evaluation_errors() == before
