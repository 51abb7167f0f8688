"""The same adapter over TLS: whom it trusts, and that a connection is cut there too."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from penstock.domain.evidence import EvidenceKind
from support.history import NOW, History
from support.indicators import ratio
from support.measuring import Meter, slo, source
from testbed.fault_actions import Drop, HangAfterHeaders
from testbed.fault_plan import Match, Plan, Rule
from testbed.pki import Pki
from testbed.proxy import FaultProxy

pytestmark = pytest.mark.servers

PATIENCE = 30.0
SHOP = slo("shop", ratio('shop_total{code="500"}', "shop_total"))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    past = History()
    past.steady("shop_total", {"code": "200"}, step_up=9)
    with past.served(tmp_path_factory.mktemp("past")) as url:
        yield url


@pytest.fixture
def proxy(upstream: str, pki: Pki) -> Iterator[FaultProxy]:
    pki.issue("metrics", "metrics", sans=["127.0.0.1"])
    certificate = pki.folder / "metrics.crt", pki.folder / "metrics.key"
    with FaultProxy(upstream, certificate=certificate) as proxy:
        yield proxy


def test_a_certificate_that_nobody_vouches_for_is_refused(proxy):
    with Meter() as meter:
        evidence = meter.one(source(proxy.url), SHOP, NOW)
    assert evidence.kind is EvidenceKind.UNREACHABLE
    assert evidence.detail.startswith("127.0.0.1: TLS: ")
    assert proxy.log == []


def test_what_speaks_no_tls_is_said_to_fail_by_it(upstream):
    with Meter() as meter:
        evidence = meter.one(source(upstream.replace("http://", "https://")), SHOP, NOW)
    assert evidence.kind is EvidenceKind.UNREACHABLE
    assert evidence.detail.startswith("127.0.0.1: TLS: ")


def test_a_connection_that_is_trusted_is_cut_in_time_and_leaves_no_thread(proxy, pki, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki.ca_file))
    before = threading.active_count()
    with Meter() as meter:
        assert meter.one(source(proxy.url), SHOP, NOW).kind is EvidenceKind.FRESH
        for act in (Drop(), HangAfterHeaders()):
            with proxy.faults(Plan((Rule(Match(), act),))):
                evidence = meter.one(source(proxy.url, timeout="500ms", name=repr(act)), SHOP, NOW)
            assert "timed out after 0.5 s" in evidence.detail
        proxy.wait(lambda: threading.active_count() <= before, PATIENCE)
