"""Which proxy stands in between, and that no text shows more of it than its address."""

from __future__ import annotations

import pytest

from penstock.adapters.http_proxy import HttpProxy, login_required, proxy_for, tunnel_status

PLAIN, TLS = "http://metrics.corp/p", "https://metrics.corp/p"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("http://proxy.corp:3128", "proxy.corp:3128"),
        ("proxy.corp:3128", "proxy.corp:3128"),
        ("http://proxy.corp/", "proxy.corp"),
        ("http://[fd00::1]:3128", "[fd00::1]:3128"),
        ("http://anna:planted@proxy.corp:3128", "proxy.corp:3128"),
        ("http://anna:plan/ted@proxy.corp:3128/", "proxy.corp:3128"),
        ("http://anna:12/34@proxy.corp:3128", "proxy.corp:3128"),
        ("anna:planted@proxy.corp", "proxy.corp"),
        ("http://anna:planted@", ""),
        ("http://anna:planted", ""),
        ("http://a b", ""),
    ],
)
def test_a_proxy_is_named_by_its_host_and_port_alone(value, address):
    assert proxy_for(PLAIN, {"http": value}) == HttpProxy(address, "HTTP_PROXY")


def test_an_address_that_does_not_show_is_named_by_its_variable():
    assert str(HttpProxy("", "HTTP_PROXY")) == "the proxy of HTTP_PROXY"


def test_the_variable_is_that_of_the_address_that_is_asked():
    proxies = {"http": "http://plain:80", "https": "http://tunnel:80"}
    assert proxy_for(PLAIN, proxies) == HttpProxy("plain:80", "HTTP_PROXY")
    assert proxy_for(TLS, proxies) == HttpProxy("tunnel:80", "HTTPS_PROXY")
    assert proxy_for(TLS, {"http": "http://plain:80"}) is None


def test_a_407_says_what_to_set():
    proxy = HttpProxy("proxy.corp:3128", "HTTPS_PROXY")
    assert login_required("407 Proxy Authentication Required", proxy) == (
        "407 Proxy Authentication Required: the proxy proxy.corp:3128 requires valid credentials; "
        "set HTTPS_PROXY=http://USER:PASSWORD@proxy.corp:3128 in the operator's environment, or "
        "list the host in NO_PROXY"
    )


def test_a_407_of_a_proxy_that_nobody_named_says_where_to_name_it():
    assert "set HTTP_PROXY or HTTPS_PROXY" in login_required("407", None)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("Tunnel connection failed: 407 Proxy Authentication Required", 407),
        ("OSError('Tunnel connection failed: 403 Forbidden')", 403),
        ("Tunnel connection failed: 799 What", 502),
        ("Connection refused", None),
    ],
)
def test_the_status_by_which_a_tunnel_is_refused(text, status):
    assert tunnel_status(text) == status
