"""Who we say that we are, and whom we trust: shown to a Prometheus that asks, and to a gate."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.adapters.credentials import LOOK_AGAIN_SECONDS
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.metrics_source import (
    BasicAuth,
    BearerAuth,
    Header,
    MetricsSource,
    OAuth2Auth,
    Tls,
    TokenFileAuth,
)
from penstock.domain.refs import SecretKeyRef
from penstock.domain.slo import SourceKind
from penstock.domain.source_status import SourceReason
from support.auth_proxy import AuthProxy, auth_proxy
from support.clocks import MovedClock
from support.history import NOW, Guard, History, prometheus
from support.indicators import ratio
from support.measuring import Meter, slo, source
from testbed.pki import Pki

pytestmark = pytest.mark.servers

SHOP = slo("shop", ratio('shop_total{code="500"}', "shop_total"))
USER, PASSWORD = "penstock", "planted-basic-3f9c1b7e"
# bcrypt of the password above, at the least cost that there is.
HASHED = "$2b$04$QklDMuxPwfnbqO3a8F2j6uKP34u9vwnys7orUDakCx1lxBC1Fn0Fu"
CLUSTER = SourceKind.CLUSTER_METRICS_SOURCE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    past = History()
    past.steady("shop_total", {"code": "200"}, step_up=9)
    past.steady("shop_total", {"code": "500"}, step_up=1)
    found = tmp_path_factory.mktemp("past")
    past.write(found)
    return found


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A server's certificate for another name than its address, and a client's."""
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.issue("server", "server", sans=["prometheus.example.com"])
    made.issue("client", USER)
    return made


@pytest.fixture
def upstream(folder: Path) -> Iterator[str]:
    with prometheus(folder) as url:
        yield url


@pytest.fixture
def before(upstream: str) -> Iterator[AuthProxy]:
    with auth_proxy(upstream) as standing:
        yield standing


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def meter(clock: MovedClock, tmp_path: Path) -> Iterator[Meter]:
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    with Meter(clock, tokens) as made:
        yield made


def ask(meter: Meter, where: MetricsSource) -> Evidence:
    return meter.one(where, SHOP, NOW)


def is_read(evidence: Evidence) -> bool:
    assert evidence.kind is EvidenceKind.FRESH, evidence
    return True


def guard(pki: Pki, *, shows: bool) -> Guard:
    tls = ssl.create_default_context(cafile=pki.ca_file)
    tls.check_hostname = False
    config = {
        "cert_file": str(pki.folder / "server.crt"),
        "key_file": str(pki.folder / "server.key"),
    }
    if shows:
        tls.load_cert_chain(pki.folder / "client.crt", pki.folder / "client.key")
        config |= {
            "client_auth_type": "RequireAndVerifyClientCert",
            "client_ca_file": str(pki.ca_file),
        }
    return Guard({"tls_server_config": config}, tls)


# Basic authentication, by Prometheus itself.


@pytest.fixture
def guarded(folder: Path) -> Iterator[str]:
    shown = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    with prometheus(
        folder, guard=Guard({"basic_auth_users": {USER: HASHED}}, authorization=f"Basic {shown}")
    ) as url:
        yield url


def test_a_password_lets_us_in_and_a_line_break_at_its_end_is_none_of_it(meter, guarded):
    meter.secrets["prometheus"] = {"password": f"{PASSWORD}\n".encode()}
    where = source(guarded, auth=BasicAuth(USER, SecretKeyRef("prometheus", "password")))
    assert is_read(ask(meter, where))
    assert meter.look(where).reason is SourceReason.CONNECTED


def test_a_wrong_password_is_reported_and_one_that_was_rotated_serves_without_a_restart(
    meter, guarded, clock
):
    meter.secrets["prometheus"] = {"password": b"planted-wrong"}
    where = source(guarded, auth=BasicAuth(USER, SecretKeyRef("prometheus", "password")))
    evidence = ask(meter, where)
    assert evidence.kind is EvidenceKind.UNAUTHORIZED
    assert "401 Unauthorized" in evidence.detail
    assert "check spec.auth" in evidence.detail
    assert meter.look(where).reason is SourceReason.UNAUTHORIZED

    meter.secrets["prometheus"] = {"password": PASSWORD.encode()}
    clock.move(LOOK_AGAIN_SECONDS / 4)  # it is doubted, so it is not kept for the whole minute
    assert is_read(ask(meter, where))


def test_without_what_it_asks_for_a_source_says_unauthorized(meter, guarded):
    assert ask(meter, source(guarded)).kind is EvidenceKind.UNAUTHORIZED


# TLS, by Prometheus itself.


def test_our_own_authority_and_another_name_than_the_address(meter, folder, pki):
    meter.secrets["ca"] = {"ca.crt": pki.ca_file.read_bytes()}
    right = Tls(SecretKeyRef("ca", "ca.crt"), server_name="prometheus.example.com")
    with prometheus(folder, guard=guard(pki, shows=False)) as url:
        assert is_read(ask(meter, source(url, tls=right)))
        for wrong, says in (
            (replace(right, server_name=None), "TLS: "),
            (replace(right, server_name="prometheus.example.org"), "TLS: Hostname mismatch"),
            (replace(right, ca=None), "TLS: "),
        ):
            evidence = ask(meter, source(url, tls=wrong))
            assert evidence.kind is EvidenceKind.UNREACHABLE
            assert says in evidence.detail


def test_a_certificate_is_shown_where_it_is_asked_for(meter, folder, pki):
    meter.secrets["ca"] = {"ca.crt": pki.ca_file.read_bytes()}
    meter.secrets["client"] = {
        "tls.crt": (pki.folder / "client.crt").read_bytes(),
        "tls.key": (pki.folder / "client.key").read_bytes(),
    }
    tls = Tls(SecretKeyRef("ca", "ca.crt"), "client", "prometheus.example.com")
    with prometheus(folder, guard=guard(pki, shows=True)) as url:
        assert is_read(ask(meter, source(url, tls=tls)))
        assert ask(meter, source(url, tls=replace(tls, client_certificate=None))).kind is (
            EvidenceKind.UNREACHABLE
        )


def test_what_is_not_a_certificate_is_reported_with_its_field(meter, pki):
    meter.secrets["ca"] = {"ca.crt": b"planted-ca"}
    meter.secrets["client"] = {
        "tls.crt": (pki.folder / "client.crt").read_bytes(),
        "tls.key": (pki.folder / "server.key").read_bytes(),
    }
    for tls, says in (
        (Tls(SecretKeyRef("ca", "ca.crt")), "spec.tls.caRef: this is not a PEM certificate"),
        (Tls(client_certificate="client"), "spec.tls.clientCertificateRef: tls.crt and tls.key"),
    ):
        where = source("https://127.0.0.1:1", tls=tls)
        evidence = ask(meter, where)
        assert evidence.kind is EvidenceKind.UNAUTHORIZED
        assert evidence.detail.startswith(says)
        assert meter.look(where).reason is SourceReason.SECRET_INVALID


# Tokens and headers, by a gate.


def test_a_bearer_token_is_shown(meter, before):
    before.bearers = {"planted-bearer"}
    meter.secrets["prometheus"] = {"token": b"planted-bearer"}
    bearer = BearerAuth(SecretKeyRef("prometheus", "token"))
    assert is_read(ask(meter, source(before.url, auth=bearer)))


def test_a_token_file_is_read_through_links_again_after_a_while_and_never_from_elsewhere(
    meter, before, clock, tmp_path
):
    def mounted(version: str, token: str) -> None:
        """As kubelet mounts a Secret: a link to a link, and the latter changed at once."""
        folder = tmp_path / "tokens" / f"..{version}"
        folder.mkdir()
        (folder / "token").write_text(f"{token}\n")
        (tmp_path / "new").symlink_to(folder)
        (tmp_path / "new").replace(tmp_path / "tokens" / "..data")

    mounted("1", "planted-first")
    (tmp_path / "tokens" / "token").symlink_to("..data/token")
    before.bearers = {"planted-first"}
    auth = TokenFileAuth("/etc/penstock/tokens/token")
    where = source(before.url, auth=auth, kind=CLUSTER)
    assert is_read(ask(meter, where))

    before.bearers = {"planted-second"}
    assert ask(meter, where).kind is EvidenceKind.UNAUTHORIZED
    mounted("2", "planted-second")
    clock.move(LOOK_AGAIN_SECONDS / 4)
    assert is_read(ask(meter, where))

    (tmp_path / "elsewhere").write_text("planted-second")
    (tmp_path / "tokens" / "out").symlink_to(tmp_path / "elsewhere")
    for path, says in (("out", "leads out of /etc/penstock/tokens"), ("none", "cannot be read")):
        auth = TokenFileAuth(f"/etc/penstock/tokens/{path}")
        evidence = ask(meter, source(before.url, auth=auth, kind=CLUSTER))
        assert evidence.kind is EvidenceKind.UNAUTHORIZED
        assert says in evidence.detail


def test_headers_go_along_open_ones_and_those_from_secrets(meter, before):
    before.wanted = {"X-Scope-OrgID": "team-a", "X-Key": "planted-key"}
    meter.secrets["tenant"] = {"key": b"planted-key\n"}
    headers = (
        Header("X-Scope-OrgID", "team-a"),
        Header("X-Key", SecretKeyRef("tenant", "key")),
        Header("content-length", "3"),
    )
    assert is_read(ask(meter, source(before.url, headers=headers)))


def test_a_header_that_would_begin_another_is_not_sent(meter, before):
    meter.secrets["tenant"] = {"key": b"a\r\nAuthorization: Bearer b"}
    where = source(before.url, headers=(Header("X-Key", SecretKeyRef("tenant", "key")),))
    evidence = ask(meter, where)
    assert evidence.detail.startswith("spec.headers[0].valueFrom: ")
    assert meter.look(where).reason is SourceReason.SECRET_INVALID


# OAuth2, by a gate that gives out tokens too.


def oauth2(before: AuthProxy, **more: object) -> MetricsSource:
    secret = SecretKeyRef("prometheus", "client-secret")
    auth = OAuth2Auth(before.token_url, "pen stock", secret, ("metrics.read", "more"))
    return source(before.url, auth=auth, **more)  # type: ignore[arg-type]


@pytest.fixture
def client(meter: Meter, before: AuthProxy) -> MetricsSource:
    before.bearers, before.clients = {"nobody's"}, {"pen stock": "planted/secret+%"}
    meter.secrets["prometheus"] = {"client-secret": b"planted/secret+%"}
    return oauth2(before)


@pytest.mark.parametrize("in_body", [False, True])
def test_a_token_is_asked_for_once_and_kept_until_it_is_nearly_over(
    meter, before, client, clock, in_body
):
    before.in_body, before.lasts = in_body, 100
    for _ in range(3):
        assert is_read(ask(meter, client))
    assert len(before.issued) == 1
    clock.move(80)
    assert is_read(ask(meter, client))
    assert len(before.issued) == 1
    clock.move(15)
    assert is_read(ask(meter, client))
    assert len(before.issued) == 2


def test_a_token_that_is_refused_is_asked_for_again_at_once(meter, before, client):
    assert is_read(ask(meter, client))
    before.bearers = {"nobody's"}
    assert is_read(ask(meter, client))
    assert len(before.issued) == 2


def test_a_token_of_which_is_not_said_how_long_it_lasts_is_kept_for_a_while(meter, before, client):
    before.lasts = None
    assert is_read(ask(meter, client))
    assert is_read(ask(meter, client))
    assert len(before.issued) == 1


def test_a_wrong_client_secret_is_reported(meter, before, client, clock):
    meter.secrets["prometheus"] = {"client-secret": b"planted-wrong"}
    evidence = ask(meter, client)
    assert evidence == Evidence(
        EvidenceKind.UNAUTHORIZED,
        "127.0.0.1: the token server 127.0.0.1 answers 401 (invalid_client); check "
        "spec.auth.oauth2",
    )
    meter.secrets["prometheus"] = {"client-secret": b"planted/secret+%"}
    clock.move(LOOK_AGAIN_SECONDS / 4)
    assert is_read(ask(meter, client))


def test_a_token_server_that_fails_is_no_refusal(meter, before, client):
    before.token_status = 503
    evidence = ask(meter, client)
    assert evidence.kind is EvidenceKind.UNREACHABLE
    assert "the token server 127.0.0.1 answers 503" in evidence.detail


def test_a_token_server_that_is_away_is_distinguished_from_the_source(meter, before, client):
    away = replace(client.auth, token_url="http://127.0.0.1:1/token")
    evidence = ask(meter, replace(client, auth=away))
    assert evidence == Evidence(
        EvidenceKind.UNREACHABLE,
        "127.0.0.1: the token server 127.0.0.1: connection refused",
    )


# What is missing.


def test_what_is_missing_is_reported_with_its_field_and_a_remedy_and_retried(meter, before, clock):
    before.bearers = {"planted-bearer"}
    where = source(before.url, auth=BearerAuth(SecretKeyRef("prometheus", "token")))
    assert ask(meter, where) == Evidence(
        EvidenceKind.UNAUTHORIZED,
        "spec.auth.bearer.tokenRef: there is no Secret prometheus in namespace shop; create it",
    )
    assert meter.look(where).reason is SourceReason.SECRET_NOT_FOUND

    meter.secrets["prometheus"] = {"password": b"planted-bearer"}
    clock.move(LOOK_AGAIN_SECONDS / 4)
    assert ask(meter, where).detail == (
        "spec.auth.bearer.tokenRef: Secret prometheus in namespace shop has no key token; add it"
    )
    meter.secrets["prometheus"] = {"token": b"planted-bearer"}
    clock.move(LOOK_AGAIN_SECONDS)
    assert is_read(ask(meter, where))


def test_a_cluster_wide_source_looks_in_the_operators_namespace(meter, before):
    where = source(before.url, auth=BearerAuth(SecretKeyRef("prometheus", "token")), kind=CLUSTER)
    assert "in namespace penstock-system" in ask(meter, where).detail


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"\xff\xfe"])
def test_what_is_no_token_is_not_sent(meter, before, content):
    meter.secrets["prometheus"] = {"token": content}
    where = source(before.url, auth=BearerAuth(SecretKeyRef("prometheus", "token")))
    assert ask(meter, where).kind is EvidenceKind.UNAUTHORIZED
    assert meter.look(where).reason is SourceReason.SECRET_INVALID
    assert before.forms == []
