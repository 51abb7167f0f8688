"""The HTTP proxy between Penstock and a server, and the messages when it causes a failure.

The operator's environment names it (HTTP_PROXY, HTTPS_PROXY, NO_PROXY). Its address is printed
without the user and password that the variable may contain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import requests
from requests.utils import select_proxy

_ADDRESS = re.compile(r"[\w.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?", re.ASCII)
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """One proxy.

    Attributes:
        address: host and port; empty if the variable's value does not contain them.
        variable: the environment variable that names it.
    """

    address: str
    variable: str

    def __str__(self) -> str:
        return f"the proxy {self.address}" if self.address else f"the proxy of {self.variable}"

    @property
    def login_required(self) -> str:
        """What the proxy requires, and which variable to set."""
        value = f"http://USER:PASSWORD@{self.address or 'PROXY'}"
        return (
            f"{self} requires valid credentials; set {self.variable}={value} in the operator's "
            "environment, or list the host in NO_PROXY"
        )


def settle(session: requests.Session, url: str) -> HttpProxy | None:
    """Read proxy and trust from the environment once, not per request; the proxy for ``url``."""
    found = session.merge_environment_settings(url, {}, stream=True, verify=None, cert=None)
    session.proxies, session.verify = found["proxies"], found["verify"]
    session.trust_env = False
    return proxy_for(url, found["proxies"])


def proxy_for(url: str, proxies: Mapping[str, str]) -> HttpProxy | None:
    """The proxy through which `requests` reaches ``url``, if any."""
    value = select_proxy(url, dict(proxies))
    if not value:
        return None
    # After the last @, because a password may contain an unescaped /.
    behind = value.rpartition("@")[2] if "@" in value else value.rpartition("://")[2]
    address = re.split("[/?#]", behind, maxsplit=1)[0]
    variable = "HTTPS_PROXY" if is_tunnelled(url) else "HTTP_PROXY"
    return HttpProxy(address if _ADDRESS.fullmatch(address) else "", variable)


def is_tunnelled(url: str) -> bool:
    """Whether a proxy sees only the connection: then no answer to a request comes from it."""
    return url.lower().startswith("https:")


def login_required(status: str, proxy: HttpProxy | None) -> str:
    """What a 407 means; it may also come from a proxy that the environment does not name."""
    if proxy is not None:
        return f"{status}: {proxy.login_required}"
    return (
        f"{status}: a proxy on the way requires credentials; set HTTP_PROXY or HTTPS_PROXY with "
        "user and password in the operator's environment"
    )


def tunnel_status(text: str) -> HTTPStatus | None:
    """The status with which a proxy refused a tunnel, from http.client's message."""
    found = _TUNNEL.search(text)
    try:
        return HTTPStatus(int(found[1])) if found else None
    except ValueError:
        return HTTPStatus.BAD_GATEWAY
