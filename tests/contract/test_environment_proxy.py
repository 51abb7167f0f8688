"""A proxy that the environment names is used, unless it exempts the address."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.domain.evidence import EvidenceKind
from support.history import NOW, History
from support.indicators import ratio
from support.measuring import Meter, slo, source

pytestmark = pytest.mark.servers

SHOP = slo("a", ratio("e_total", "shop_total"))
AWAY = "http://metrics.invalid:9090"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    past = History()
    past.steady("shop_total", {"code": "200"}, step_up=9)
    with past.served(tmp_path) as url:
        yield url


@pytest.fixture
def proxied(upstream: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses that the environment's proxy was asked for; it gives what is at `upstream`."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            form = {"Content-Type": self.headers["Content-Type"]}
            there = urllib.request.Request(upstream + urlsplit(self.path).path, body, form)
            with direct.open(there, timeout=10) as answer:
                content = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """The list says it."""

    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name in ("http_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_source_is_asked_through_the_proxy_of_the_environment(proxied: list[str]) -> None:
    with Meter() as meter:
        assert meter.one(source(AWAY), SHOP, NOW).kind is EvidenceKind.FRESH
    assert proxied
    assert {address.rpartition("/")[0] for address in proxied} == {f"{AWAY}/api/v1"}


def test_a_source_that_the_environment_exempts_is_asked_directly(
    proxied: list[str], upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,10.0.0.0/8")
    with Meter() as meter:
        assert meter.one(source(upstream), SHOP, NOW).kind is EvidenceKind.FRESH
    assert proxied == []
