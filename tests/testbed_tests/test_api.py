"""The client of the API server: what it returns, raises, keeps open and lets go of."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from testbed.api import ApiError, Kube
from testbed.bed import Bed
from testbed.fault_actions import ApplyThenCut, Cut, ReplaceBody, Status
from testbed.fault_plan import Match, Plan, Rule
from testbed.identities import token_kubeconfig
from testbed.pki import Pki
from testbed.proxy import FaultProxy, before_api_server

pytestmark = pytest.mark.servers


@pytest.fixture
def proxy(bed: Bed):
    with before_api_server(bed.server, bed.pki) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(bed: Bed, proxy: FaultProxy, tmp_path: Path) -> Kube:
    """As nobody in particular, which may still ask for the version."""
    return Kube(token_kubeconfig(tmp_path / "config", proxy.url, bed.ca_file, "nobody"))


def always(act: Any) -> Plan:
    return Plan((Rule(Match(), act),))


def test_what_is_no_json_stays_text(admin: Kube):
    assert admin.call("GET", "/readyz") == "ok"


def test_a_status_that_is_expected_is_none(admin: Kube, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/configmaps/nowhere"
    assert admin.call("GET", path, ok={404}) is None
    with pytest.raises(ApiError) as refused:
        admin.call("GET", path)
    assert (refused.value.code, refused.value.reason) == (404, "NotFound")


def test_one_connection_serves_many_calls_and_several_threads_have_several(bed: Bed):
    kube = Kube(bed.kubeconfig)
    for _ in range(5):
        kube.call("GET", "/version")
    assert len(kube._idle) == 1
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: kube.call("GET", "/version"), range(40)))
    assert len(answers) == 40
    assert 1 <= len(kube._idle) <= 4


def test_a_client_that_is_forgotten_leaves_no_connection_open(bed: Bed):
    """Python would warn of a socket that nobody closed, and a warning fails the test."""
    Kube(bed.kubeconfig).call("GET", "/version")
    gc.collect()


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again(
    through_proxy: Kube, proxy: FaultProxy
):
    for _ in range(3):
        with pytest.raises(ApiError) as refused:
            through_proxy.call("GET", "/api")
        assert refused.value.code == 401
        proxy.down()
        proxy.up()


@pytest.mark.parametrize("act", [Cut(10), ApplyThenCut()])
def test_an_answer_that_breaks_off_is_an_os_error(through_proxy: Kube, proxy: FaultProxy, act: Any):
    with proxy.faults(always(act)), pytest.raises(OSError):
        through_proxy.call("GET", "/api")


def test_an_error_page_is_reported_as_it_is(through_proxy: Kube, proxy: FaultProxy):
    with proxy.faults(always(Status(502))), pytest.raises(ApiError) as refused:
        through_proxy.call("GET", "/api")
    assert refused.value.code == 502


def test_garbage_in_place_of_json_is_no_answer(through_proxy: Kube, proxy: FaultProxy):
    with proxy.faults(always(ReplaceBody("<html>"))), pytest.raises((ApiError, ValueError)):
        through_proxy.call("GET", "/api")


def test_a_watch_shows_what_happened_since_a_version(admin: Kube, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    version = admin.call("GET", path)["metadata"]["resourceVersion"]
    admin.call("POST", path, {"metadata": {"name": "one"}})
    admin.call("DELETE", f"{path}/one")
    events = admin.watch(path, version, timeout=60)
    seen = [(event["type"], event["object"]["metadata"]["name"]) for event in islice(events, 2)]
    events.close()
    assert seen == [("ADDED", "one"), ("DELETED", "one")]


def test_a_watch_ends_after_its_time(admin: Kube, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    version = admin.call("GET", path)["metadata"]["resourceVersion"]
    assert list(admin.watch(path, version, timeout=1)) == []


def test_a_watch_of_nothing_is_refused(admin: Kube):
    with pytest.raises(ApiError) as refused:
        next(admin.watch("/api/v1/nothings", "0"))
    assert refused.value.code == 404


def test_nobody_else_can_pretend_to_be_the_server(bed: Bed, tmp_path: Path):
    other = Pki(tmp_path / "other")
    other.issue("admin", "admin", "system:masters")
    kube = Kube(other.kubeconfig(tmp_path / "config", bed.server, "admin"))
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        kube.call("GET", "/version")
