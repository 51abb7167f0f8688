"""The whole operator on the session's test bed, and stories told on it.

One operator serves all stories of a process; it watches their namespaces alone (`support.watched`).
Modules that stop it for good, or run it with other settings, start one of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator, Iterator

import pytest

from support.admission_fixture import with_policies
from support.deployed import shipped_rules_of_all_namespaces
from support.story import Story
from support.traffic import Traffic, running
from support.watched import Watched
from testbed import identities
from testbed.bed import Bed
from testbed.proxy import FaultProxy, before_api_server


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
    return with_policies(bed).bed


@pytest.fixture(scope="session")
def traffic(bed: Bed) -> Iterator[Traffic]:
    """Services under load, in a namespace of their own."""
    namespace = f"traffic-{secrets.token_hex(4)}"
    bed.kube.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    with running(bed, namespace) as found:
        yield found
    bed.kube.call("DELETE", f"/api/v1/namespaces/{namespace}")


@pytest.fixture(scope="session")
def shipped(policies: Bed) -> identities.ServiceAccount:
    """A service account with the rights that deploy/ gives to the operator, and no others."""
    name = f"penstock-{secrets.token_hex(4)}"
    account = identities.service_account(policies.kube, "default", name)
    identities.grant_everywhere(policies.kube, account, shipped_rules_of_all_namespaces())
    return account


@pytest.fixture(scope="session")
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    """Records what the operator writes."""
    with before_api_server(bed.server, bed.pki) as running_proxy:
        yield running_proxy


@pytest.fixture(scope="session")
def watched(
    policies: Bed,
    shipped: identities.ServiceAccount,
    proxy: FaultProxy,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    """Namespaces with an operator behind the proxy."""
    folder = tmp_path_factory.mktemp("operator")
    bearer = identities.token(policies.kube, shipped)
    path = folder / "kubeconfig"
    identities.token_kubeconfig(path, proxy.url, policies.ca_file, bearer)
    found = Watched(policies, path, folder)
    yield found
    found.stop()


@pytest.fixture
def story(bed: Bed, watched: Watched, traffic: Traffic, proxy: FaultProxy) -> Iterator[Story]:
    """A namespace of the test's own, watched by an operator.

    At the test's end the oracle judges it, with what the proxy has recorded.
    """
    with watched.namespace() as (namespace, operator):
        yield Story(bed, namespace, operator, traffic)


@pytest.fixture
def prometheus(story: Story) -> Iterator[FaultProxy]:
    """The session's Prometheus, behind a door that can be shut for this namespace alone."""
    with FaultProxy(story.bed.prometheus_url) as standing:
        yield standing
