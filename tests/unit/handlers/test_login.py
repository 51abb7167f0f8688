"""Who the feed is to the API server, in a pod and outside of one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import kopf
import pytest

from penstock.handlers import login


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a kubelet mounts, and the variables that it sets."""
    for name, text in (("token", "first\n"), ("ca.crt", "PEM"), ("namespace", "penstock-system")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(login, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return tmp_path


def log_in() -> kopf.ConnectionInfo | None:
    return asyncio.run(login.login(settings=kopf.OperatorSettings()))


def test_in_a_pod_the_address_is_the_kubelets_so_that_the_feed_needs_no_dns(account: Path) -> None:
    found = log_in()
    assert found is not None
    assert (found.server, found.ca_path) == ("https://10.96.0.1:443", account / "ca.crt")
    assert (found.token, found.default_namespace) == ("first", "penstock-system")
    assert found.expiration is not None


def test_an_ipv6_address_is_put_in_brackets(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    found = log_in()
    assert found is not None
    assert found.server == "https://[fd00::1]:443"


def test_a_rotated_token_is_read_again(account: Path) -> None:
    log_in()
    (account / "token").write_text("second\n")
    found = log_in()
    assert found is not None
    assert found.token == "second"


@pytest.mark.parametrize("missing", ["KUBERNETES_SERVICE_HOST", "the token"])
def test_outside_of_a_pod_it_is_as_kubeconfig_says(
    account: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    if missing == "the token":
        (account / "token").unlink()
    else:
        monkeypatch.delenv(missing)
    config = account / "kubeconfig"
    config.write_text(
        "current-context: one\n"
        "contexts: [{name: one, context: {cluster: one, user: one}}]\n"
        "clusters: [{name: one, cluster: {server: 'https://127.0.0.1:6443'}}]\n"
        "users: [{name: one, user: {token: mine}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    found = log_in()
    assert found is not None
    assert (found.server, found.token) == ("https://127.0.0.1:6443", "mine")
