"""Our requests to the real API server: what comes back is said once, and nothing is repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.kube_client import KubeClient
from penstock.errors import Unavailable
from testbed import identities
from testbed.bed import Bed
from testbed.fault_actions import api_error
from testbed.fault_plan import Always, Match, Plan, Rule
from testbed.proxy import before_api_server

pytestmark = pytest.mark.servers

Request = Callable[[KubeClient, str], Coroutine[Any, Any, Any]]
REQUESTS: dict[str, Request] = {
    "GET": lambda kube, path: kube.get(path),
    "PUT": lambda kube, path: kube.replace(path, {"metadata": {"name": "web"}}),
    "PATCH": lambda kube, path: kube.apply(path, {}, "penstock", force=False),
    "POST": lambda kube, path: kube.create(path, {"metadata": {"name": "web"}}),
}


@pytest.mark.parametrize("method", REQUESTS)
def test_a_request_that_failed_is_not_repeated_behind_the_engines_back(
    method: str, bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """The library would, for half a minute, and hide what the server said."""
    account = identities.service_account(bed.kube, namespace, "penstock")
    bearer = identities.token(bed.kube, account)
    path = f"/api/v1/namespaces/{namespace}/configmaps/web"
    plan = Plan((Rule(Match((method,), path="configmaps/web$", when=Always()), api_error(503)),))
    with before_api_server(bed.server, bed.pki) as proxy, proxy.faults(plan) as armed:
        file = tmp_path / "kubeconfig"
        identities.token_kubeconfig(file, proxy.url, bed.ca_file, bearer)

        with pytest.raises(Unavailable, match="injected fault"):
            asyncio.run(asked(file, REQUESTS[method], path))

    assert len(armed.hits) == 1


async def asked(kubeconfig: Path, request: Request, path: str) -> None:
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration)
    kube = KubeClient.from_configuration(configuration)
    try:
        await request(kube, path)
    finally:
        await kube.close()
