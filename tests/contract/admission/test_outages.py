"""The policies on an API server that knows their parameters not yet, again, or no more.

Two groups of tests have an API server each, on which they run in order: each undoes what it did,
and the last one removes the kinds, because one that is installed again may take a server minutes.
Figures are printed and not judged: they are of this machine.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support import draws
from support.admission_fixture import (
    ADMISSION,
    CRDS,
    STRICT,
    Server,
    Workload,
    deployment,
    manifest,
    until,
)
from testbed.api import ApiError
from testbed.bed import Bed

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(700)]

# The API server looks for new kinds every 30 s.
MAPPER_PERIOD = 30.0
SCALED = {"spec": {"replicas": 2}}
RESTARTS = draws.size(commit=1, full=3)
WITH_CRDS = pytest.mark.xdist_group("admission outages: with CRDs")
WITHOUT_CRDS = pytest.mark.xdist_group("admission outages: without CRDs")
LABELLED = ("gold", "kube-system", "penstock-system")


class Api(Server):
    """An API server of this module's own, which may be broken."""

    def restart(self) -> None:
        self.bed.control_plane.stop_api_server()
        self.bed.control_plane.start_api_server()

    def install_crds(self) -> None:
        self.do("apply", "-k", str(CRDS))
        self.do("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        records = "/apis/penstock.dev/v1alpha1/gaterecords"
        until(lambda: self.kube.call("GET", records, ok=(404, 429)) is not None)

    def remove_crds(self) -> None:
        """Its cleaner of removed kinds tries again later and later; a restart makes it try now."""
        self.do("delete", "-k", str(CRDS), "--ignore-not-found", "--wait=false")
        for _ in range(3):
            with contextlib.suppress(AssertionError):
                until(self._has_no_crds, 60)
                return
            self.restart()
        until(self._has_no_crds)

    def _has_no_crds(self) -> bool:
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        return not self.kube.call("GET", definitions)["items"]

    def workload(self, namespace: str, name: str = "checkout") -> Workload:
        path = f"/api/v1/namespaces/{namespace}"
        if self.kube.call("GET", path, ok=(404,)) is None:
            self.do("create", "namespace", namespace)
        made = Workload(self, namespace, name)
        made.create()
        return made


@contextlib.contextmanager
def api_server(servers: Mapping[str, Path], folder: Path) -> Iterator[Api]:
    """One that has never seen anything of ours."""
    with Bed.start(
        folder,
        binaries=servers,
        node=False,
        prometheus=False,
        scheduler=False,
        crds=False,
    ) as running:
        yield Api(running)


@pytest.fixture(scope="module")
def with_crds(
    servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """In the order of the guide: it has our kinds, and knows them, before any policy is there."""
    with api_server(servers, tmp_path_factory.mktemp("with-crds")) as api:
        api.install_crds()
        time.sleep(MAPPER_PERIOD)
        yield api


@pytest.fixture(scope="module")
def without_crds(
    servers: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """It has never known our kinds when its first policies arrive."""
    with api_server(servers, tmp_path_factory.mktemp("without-crds")) as api:
        yield api


@pytest.fixture
def shop() -> str:
    """The name of a namespace of the test's own."""
    return f"shop-{secrets.token_hex(4)}"


def never_refused(seconds: float, *workloads: Workload) -> None:
    """Neither a release nor anything else, all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for workload in workloads:
            assert workload.refusal() is None
            assert workload.refusal(SCALED) is None
        time.sleep(0.1)


@WITH_CRDS
def test_v30_in_the_order_of_the_guide_a_gate_closes_as_soon_as_the_policy_is_there(
    with_crds: Api, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = with_crds.workload(shop)
    with_crds.do("apply", "-k", str(ADMISSION))
    begin = time.monotonic()
    checkout.close()
    with capsys.disabled():
        print(f"\nCRDs, half a minute, policies: closed after {time.monotonic() - begin:.1f} s")


@WITH_CRDS
def test_v30_from_ignore_to_fail_and_back_the_gate_stays_closed(with_crds: Api, shop: str) -> None:
    with_crds.do("apply", "-k", str(ADMISSION))
    checkout, gold = with_crds.workload(shop), with_crds.workload("gold")
    with_crds.do("label", "namespace", "gold", "penstock.dev/gate=enabled", "--overwrite")
    for workload in (checkout, gold):
        workload.close()
    with always_closed(checkout, gold):
        with_crds.do("apply", "-k", str(STRICT))
        until(lambda: refused_by(gold) == "strict-gate.penstock.dev")
        assert refused_by(checkout) == "gate.penstock.dev"
        with_crds.do("apply", "-k", str(ADMISSION))
        with_crds.do("delete", "-k", str(STRICT / "labelled"))
        until(lambda: refused_by(gold) == "gate.penstock.dev")
    assert gold.refusal(SCALED) is None


@WITH_CRDS
def test_without_its_binding_a_policy_refuses_nothing(
    with_crds: Api, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """How to break the glass for all gates at once."""
    with_crds.do("apply", "-k", str(ADMISSION))
    checkout = with_crds.workload(shop)
    checkout.close()
    with_crds.do("delete", "validatingadmissionpolicybinding", "gate-deny.penstock.dev")
    opened = until(lambda: not checkout.refuses())
    with capsys.disabled():
        print(f"\nbinding deleted: open after {opened:.1f} s")
    with_crds.do("apply", "-k", str(ADMISSION))
    until(checkout.refuses)


@WITH_CRDS
def test_a_restarted_api_server_refuses_no_bystander_and_closes_the_gate_again(
    with_crds: Api, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds without the operator, which does not run here; but not from the first moment on."""
    with_crds.do("apply", "-k", str(ADMISSION))
    checkout, bystander = with_crds.workload(shop), with_crds.workload(shop, "cart")
    checkout.close()
    windows = []
    for _ in range(RESTARTS):
        with_crds.restart()
        begin = time.monotonic()
        while not checkout.refuses():
            never_refused(0.1, bystander)
            assert time.monotonic() - begin < 3 * MAPPER_PERIOD
        windows.append(time.monotonic() - begin)
        never_refused(1, bystander)
    with capsys.disabled():
        seconds = ", ".join(f"{window:.1f}" for window in windows)
        print(f"\nAPI server restarted: open for {seconds} s after it was ready")


@WITH_CRDS
def test_without_the_crds_an_api_server_refuses_nothing_running_or_restarted(
    with_crds: Api, shop: str
) -> None:
    with_crds.do("apply", "-k", str(ADMISSION))
    checkout, bystander = with_crds.workload(shop), with_crds.workload(shop, "cart")
    checkout.close()
    with_crds.remove_crds()
    until(lambda: not checkout.refuses())
    never_refused(2, checkout, bystander)
    with_crds.restart()
    never_refused(5, checkout, bystander)


@WITHOUT_CRDS
def test_strict_a_refusal_without_the_crds_is_422_so_tools_with_force_replace_the_deployment(
    without_crds: Api, shop: str, tmp_path: Path
) -> None:
    """The price of Fail: a failed policy has no reason of its own, the API server says Invalid."""
    without_crds.do("apply", "-k", str(STRICT))
    checkout = without_crds.workload(shop)
    without_crds.do("label", "namespace", shop, "penstock.dev/gate=enabled", "--overwrite")
    until(checkout.refuses)
    uid = checkout.read()["metadata"]["uid"]
    changed = manifest(tmp_path, deployment(checkout.name, "shop/checkout:2"))
    done = checkout.kubectl("apply", "--force", "-f", changed)
    assert done.returncode == 0, done.stderr
    assert checkout.read()["metadata"]["uid"] != uid
    without_crds.do("delete", "-k", str(STRICT))


@WITHOUT_CRDS
def test_v30_policies_without_the_crds_refuse_nothing_and_find_them_later(
    without_crds: Api, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout, bystander = without_crds.workload(shop), without_crds.workload(shop, "cart")
    without_crds.do("apply", "-k", str(ADMISSION))
    never_refused(3, checkout, bystander)
    without_crds.install_crds()
    begin = time.monotonic()
    checkout.close()
    with capsys.disabled():
        print(f"\npolicies before CRDs: closed {time.monotonic() - begin:.1f} s after Established")
    assert not bystander.refuses()


@WITHOUT_CRDS
def test_strict_only_labelled_namespaces_are_affected_once_the_crds_are_gone(
    without_crds: Api, shop: str
) -> None:
    """And of these not the cluster's own, nor ours, however they are labelled."""
    without_crds.install_crds()
    without_crds.do("apply", "-k", str(STRICT))
    checkout = without_crds.workload(shop)
    gold, system, ours = (without_crds.workload(namespace) for namespace in LABELLED)
    for namespace in LABELLED:
        without_crds.do("label", "namespace", namespace, "penstock.dev/gate=enabled", "--overwrite")
    gold.close()
    until(lambda: refused_by(gold) == "strict-gate.penstock.dev")
    assert gold.refusal(SCALED) is None
    without_crds.remove_crds()
    without_crds.restart()
    for change in (None, SCALED):
        until(lambda change=change: gold.refusal(change) is not None)
        refusal = gold.refusal(change)
        assert refusal is not None
        assert refusal.code == 422
        assert "failed to find resource referenced by paramKind" in refusal.message
    gold.server.kube.call(
        "PATCH", f"{gold.path}/scale", SCALED, content_type="application/merge-patch+json"
    )
    never_refused(3, checkout, system, ours)
    without_crds.do("label", "namespace", "gold", "penstock.dev/gate-")
    until(lambda: not gold.refuses())


@contextlib.contextmanager
def always_closed(*workloads: Workload) -> Iterator[None]:
    """Asked about every 20 ms, from another thread, for as long as the block takes and a second."""
    passed: list[str] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.02):
            passed.extend(one.namespace for one in workloads if not one.refuses())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
        time.sleep(1)
    finally:
        done.set()
        asking.join()
    assert passed == []


def refused_by(workload: Workload) -> str:
    """The policy that refuses a release now."""
    try:
        workload.patch(
            {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}}, query="dryRun=All"
        )
    except ApiError as error:
        return error.message.split("'")[1]
    return ""
