"""Passwords in a person's ~/.netrc are for curl: no server of ours is shown them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.kube_client import KubeClient
from penstock.domain.evidence import EvidenceKind
from support.auth_proxy import auth_proxy
from support.history import NOW, History
from support.indicators import ratio
from support.measuring import Meter, slo, source
from testbed import identities
from testbed.bed import Bed

pytestmark = pytest.mark.servers


@pytest.fixture(autouse=True)
def _netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text(
        "machine 127.0.0.1 login planted password planted\ndefault login x password x\n"
    )
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


def test_a_metrics_source_is_shown_nothing(tmp_path: Path) -> None:
    past = History()
    past.steady("shop_total", {"code": "200"}, step_up=9)
    with past.served(tmp_path) as url, auth_proxy(url) as before, Meter() as meter:
        evidence = meter.one(source(before.url), slo("a", ratio("e_total", "shop_total")), NOW)
        assert evidence.kind is EvidenceKind.FRESH
        assert before.forms
        assert before.shown == set()


def test_the_api_server_is_shown_our_own_token_alone(
    bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """Both at once would be refused by the client itself, and nothing could be read."""
    account = identities.service_account(bed.kube, namespace, "penstock")
    identities.bind(bed.kube, account, "cluster-admin")
    path = identities.token_kubeconfig(
        tmp_path / "kubeconfig", bed.server, bed.ca_file, identities.token(bed.kube, account)
    )

    async def read() -> str:
        configuration = Configuration()
        await load_kube_config(str(path), client_configuration=configuration)
        server = KubeClient.from_configuration(configuration)
        try:
            found = await server.get(f"/api/v1/namespaces/{namespace}")
        finally:
            await server.close()
        return str(found["metadata"]["name"])

    assert asyncio.run(read()) == namespace
