"""/readyz says whether the operator sees what happens; /healthz whether a restart would help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.deployed import shipped_rules_of_all_namespaces
from support.operator_process import Operator, wait_for
from testbed import identities
from testbed.bed import Bed
from testbed.fault_actions import api_error
from testbed.fault_plan import Match, Plan, Rule
from testbed.proxy import FaultProxy, before_api_server

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# Lists work all the while.
NO_WATCH = Plan((Rule(Match(("GET",), query="watch=true"), api_error(403)),))


@pytest.fixture
def proxy(bed: Bed) -> Iterator[FaultProxy]:
    with before_api_server(bed.server, bed.pki) as found:
        yield found


@pytest.fixture
def kubeconfig(bed: Bed, namespace: str, proxy: FaultProxy, tmp_path: Path) -> Path:
    """With the shipped rights, through the proxy."""
    account = identities.service_account(bed.kube, namespace, "penstock")
    identities.grant_everywhere(bed.kube, account, shipped_rules_of_all_namespaces())
    bearer = identities.token(bed.kube, account)
    return identities.token_kubeconfig(tmp_path / "kubeconfig", proxy.url, bed.ca_file, bearer)


@contextmanager
def stopped_in_the_end(operator: Operator) -> Iterator[None]:
    try:
        yield
    finally:
        operator.stop()


def test_an_operator_whose_watches_are_refused_is_not_ready_and_need_not_be_restarted(
    bed: Bed, namespace: str, proxy: FaultProxy, kubeconfig: Path, tmp_path: Path
) -> None:
    operator = Operator(bed, tmp_path / "log", kubeconfig=kubeconfig, namespaces=namespace)
    with stopped_in_the_end(operator):
        with proxy.faults(NO_WATCH):
            operator.begin()
            _, text = wait_for(
                "its watches are refused", operator.readiness, lambda it: "watch" in it[1]
            )
            assert text.startswith("the watch of ")
            assert text.endswith(" is not connected yet\n")
            proxy.wait(lambda: [one for one in proxy.log if one.is_watch], seconds=60)
            assert operator.readiness()[0] == 503
            assert operator.health() == (200, "ok\n")
        wait_for("it is ready", operator.is_ready)
        with proxy.faults(NO_WATCH):
            proxy.cut_watches()
            _, text = wait_for(
                "it is not ready any more", operator.readiness, lambda it: it[0] == 503
            )
            assert re.fullmatch(r"the watch of \w+ has not been connected for \d+ s\n", text)
            assert operator.health() == (200, "ok\n")
        wait_for("it is ready again", operator.is_ready)
