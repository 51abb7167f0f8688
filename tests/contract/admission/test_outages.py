"""The policies on an API server that knows their parameters not yet, again, or no more.

Figures are printed and not judged: they are of this machine.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from support.gates import (
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


@pytest.fixture
def fresh(servers: Mapping[str, Path], tmp_path: Path) -> Iterator[Api]:
    """An API server of this test's own, which has never seen anything of ours.

    A kind that is removed and installed again may take one and the same server minutes.
    """
    with Bed.start(
        tmp_path / "bed",
        binaries=servers,
        node=False,
        prometheus=False,
        scheduler=False,
        crds=False,
    ) as running:
        yield Api(running)


def never_refused(seconds: float, *workloads: Workload) -> None:
    """Neither a release nor anything else, all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for workload in workloads:
            assert workload.refusal() is None
            assert workload.refusal(SCALED) is None
        time.sleep(0.1)


def test_v30_policies_without_the_crds_refuse_nothing_and_find_them_later(
    fresh: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout, bystander = fresh.workload("shop"), fresh.workload("shop", "cart")
    fresh.do("apply", "-k", str(ADMISSION))
    never_refused(3, checkout, bystander)
    fresh.install_crds()
    begin = time.monotonic()
    checkout.close()
    with capsys.disabled():
        print(f"\npolicies before CRDs: closed {time.monotonic() - begin:.1f} s after Established")
    assert not bystander.refuses()


def test_v30_in_the_order_of_the_guide_a_gate_closes_as_soon_as_the_policy_is_there(
    fresh: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    checkout = fresh.workload("shop")
    fresh.install_crds()
    time.sleep(MAPPER_PERIOD)
    fresh.do("apply", "-k", str(ADMISSION))
    begin = time.monotonic()
    checkout.close()
    with capsys.disabled():
        print(f"\nCRDs, half a minute, policies: closed after {time.monotonic() - begin:.1f} s")


def test_v30_from_ignore_to_fail_and_back_the_gate_stays_closed(fresh: Api) -> None:
    fresh.install_crds()
    fresh.do("apply", "-k", str(ADMISSION))
    shop, gold = fresh.workload("shop"), fresh.workload("gold")
    fresh.do("label", "namespace", "gold", "penstock.dev/gate=enabled", "--overwrite")
    for workload in (shop, gold):
        workload.close()
    with always_closed(shop, gold):
        fresh.do("apply", "-k", str(STRICT))
        until(lambda: refused_by(gold) == "strict-gate.penstock.dev")
        assert refused_by(shop) == "gate.penstock.dev"
        fresh.do("apply", "-k", str(ADMISSION))
        fresh.do("delete", "-k", str(STRICT / "labelled"))
        until(lambda: refused_by(gold) == "gate.penstock.dev")
    assert gold.refusal(SCALED) is None


def test_a_restarted_api_server_refuses_no_bystander_and_closes_the_gate_again(
    fresh: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """It holds without the operator, which does not run here; but not from the first moment on."""
    fresh.install_crds()
    fresh.do("apply", "-k", str(ADMISSION))
    checkout, bystander = fresh.workload("shop"), fresh.workload("shop", "cart")
    checkout.close()
    windows = []
    for _ in range(3):
        fresh.restart()
        begin = time.monotonic()
        while not checkout.refuses():
            never_refused(0.1, bystander)
            assert time.monotonic() - begin < 3 * MAPPER_PERIOD
        windows.append(time.monotonic() - begin)
        never_refused(1, bystander)
    with capsys.disabled():
        seconds = ", ".join(f"{window:.1f}" for window in windows)
        print(f"\nAPI server restarted: open for {seconds} s after it was ready")


def test_without_the_crds_an_api_server_refuses_nothing_running_or_restarted(fresh: Api) -> None:
    fresh.install_crds()
    fresh.do("apply", "-k", str(ADMISSION))
    checkout, bystander = fresh.workload("shop"), fresh.workload("shop", "cart")
    checkout.close()
    fresh.remove_crds()
    until(lambda: not checkout.refuses())
    never_refused(2, checkout, bystander)
    fresh.restart()
    never_refused(5, checkout, bystander)


def test_without_its_binding_a_policy_refuses_nothing(
    fresh: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """How to break the glass for all gates at once."""
    fresh.install_crds()
    fresh.do("apply", "-k", str(ADMISSION))
    checkout = fresh.workload("shop")
    checkout.close()
    fresh.do("delete", "validatingadmissionpolicybinding", "gate-deny.penstock.dev")
    opened = until(lambda: not checkout.refuses())
    with capsys.disabled():
        print(f"\nbinding deleted: open after {opened:.1f} s")


def test_strict_only_labelled_namespaces_are_affected_once_the_crds_are_gone(fresh: Api) -> None:
    """And of these not the cluster's own, nor ours, however they are labelled."""
    fresh.install_crds()
    fresh.do("apply", "-k", str(STRICT))
    shop = fresh.workload("shop")
    gold, system, ours = (fresh.workload(namespace) for namespace in LABELLED)
    for namespace in LABELLED:
        fresh.do("label", "namespace", namespace, "penstock.dev/gate=enabled", "--overwrite")
    gold.close()
    assert refused_by(gold) == "strict-gate.penstock.dev"
    assert gold.refusal(SCALED) is None
    fresh.remove_crds()
    fresh.restart()
    for change in (None, SCALED):
        until(lambda change=change: gold.refusal(change) is not None)
        refusal = gold.refusal(change)
        assert refusal is not None
        assert refusal.code == 422
        assert "failed to find resource referenced by paramKind" in refusal.message
    gold.server.kube.call(
        "PATCH", f"{gold.path}/scale", SCALED, content_type="application/merge-patch+json"
    )
    never_refused(3, shop, system, ours)
    fresh.do("label", "namespace", "gold", "penstock.dev/gate-")
    until(lambda: not gold.refuses())


def test_strict_a_refusal_without_the_crds_is_422_so_tools_with_force_replace_the_deployment(
    fresh: Api, tmp_path: Path
) -> None:
    """The price of Fail: a failed policy has no reason of its own, the API server says Invalid."""
    fresh.do("apply", "-k", str(STRICT))
    gold = fresh.workload("gold")
    fresh.do("label", "namespace", "gold", "penstock.dev/gate=enabled", "--overwrite")
    until(gold.refuses)
    uid = gold.read()["metadata"]["uid"]
    changed = manifest(tmp_path, deployment(gold.name, "shop/checkout:2"))
    done = gold.kubectl("apply", "--force", "-f", changed)
    assert done.returncode == 0, done.stderr
    assert gold.read()["metadata"]["uid"] != uid


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
