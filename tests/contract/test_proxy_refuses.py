"""A proxy of the environment that refuses: the message names it, what to set, and no password."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import OAuth2Auth
from penstock.domain.refs import SecretKeyRef
from penstock.domain.source_status import SourceReason
from support.history import NOW
from support.indicators import ratio
from support.measuring import Meter, slo, source

SHOP = slo("a", ratio("e_total", "shop_total"))
PLAIN, TLS = "http://metrics.invalid:9090", "https://metrics.invalid:9090"
PASSWORD = "planted-password"
SET = "http://USER:PASSWORD@127.0.0.1:{} in the operator's environment"


class Refusing(ThreadingHTTPServer):
    """A proxy that answers every request and every CONNECT with one status."""

    status = 407

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Refusing

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_CONNECT()

    def do_CONNECT(self) -> None:
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Refusing]:
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Refusing() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://anna:{PASSWORD}@127.0.0.1:{server.port}")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def meter() -> Iterator[Meter]:
    with Meter() as found:
        yield found


def ask(meter: Meter, url: str) -> Evidence:
    return meter.one(source(url), SHOP, NOW)


@pytest.mark.parametrize(
    ("url", "variable"), [(PLAIN, "HTTP_PROXY"), (TLS, "HTTPS_PROXY")], ids=["plain", "CONNECT"]
)
def test_a_407_names_the_proxy_and_what_to_set_and_not_the_source_s_credentials(
    meter: Meter,
    proxy: Refusing,
    caplog: pytest.LogCaptureFixture,
    url: str,
    variable: str,
) -> None:
    found = ask(meter, url)
    assert found.kind is EvidenceKind.UNAUTHORIZED
    assert f"407 Proxy Authentication Required: the proxy 127.0.0.1:{proxy.port} " in found.detail
    assert f"set {variable}={SET.format(proxy.port)}" in found.detail
    assert "spec.auth" not in found.detail
    health = meter.look(source(url))
    assert (health.reason, health.detail) == (SourceReason.UNAUTHORIZED, found.detail)
    assert PASSWORD not in found.detail + caplog.text
    assert "anna" not in found.detail + caplog.text


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (403, "does not connect to it: 403 Forbidden; allow it there"),
        (502, "does not connect to it: 502 Bad Gateway"),
    ],
)
def test_a_tunnel_that_a_proxy_refuses_is_the_proxy_s_refusal(
    meter: Meter, proxy: Refusing, status: int, says: str
) -> None:
    proxy.status = status
    found = ask(meter, TLS)
    assert found.kind is EvidenceKind.UNREACHABLE
    assert f"the proxy 127.0.0.1:{proxy.port} {says}" in found.detail


@pytest.mark.parametrize("status", [200, 302, 403, 511])
def test_a_page_that_may_be_the_proxy_s_names_it(
    meter: Meter, proxy: Refusing, status: int
) -> None:
    proxy.status = status
    assert f"through the proxy 127.0.0.1:{proxy.port}" in ask(meter, PLAIN).detail


@pytest.mark.parametrize("url", [PLAIN, TLS])
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("127.0.0.1:1", "the proxy 127.0.0.1:1: connection refused"),
        ("proxy.invalid:3128", "the proxy proxy.invalid:3128: the name does not resolve"),
        ("127.0.0.1:99999", "its address or that of the proxy 127.0.0.1:99999 is invalid"),
    ],
)
def test_a_proxy_that_is_away_is_named_and_not_the_source(
    meter: Meter,
    proxy: Refusing,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    address: str,
    says: str,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://anna:{PASSWORD}@{address}")
    found = ask(meter, url)
    assert found.kind is EvidenceKind.UNREACHABLE
    assert found.detail == f"metrics.invalid: {says}"


@pytest.mark.parametrize("token_url", ["http://login.invalid/t", "https://login.invalid/t"])
def test_a_407_before_the_token_server_names_the_proxy_too(
    meter: Meter, proxy: Refusing, token_url: str
) -> None:
    meter.secrets["login"] = {"secret": b"planted"}
    auth = OAuth2Auth(token_url, "penstock", SecretKeyRef("login", "secret"), ())
    found = meter.one(replace(source(PLAIN), auth=auth), SHOP, NOW)
    assert found.kind is EvidenceKind.UNAUTHORIZED
    assert "the token server login.invalid: 407 Proxy Authentication Required: " in found.detail
    assert f"the proxy 127.0.0.1:{proxy.port} requires valid credentials" in found.detail
    assert "spec.auth" not in found.detail
