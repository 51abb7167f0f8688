"""Connections to one metrics source: address, TLS, credentials, and what its dialect needs.

prometheus-api-client provides address, headers, session and authentication. Its own query methods
are not used: they drop warnings, put a POST's query into the address, and repeat requests by
themselves. Everything here blocks: it is for the request threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy

import requests
from prometheus_api_client import PrometheusConnect
from requests.auth import AuthBase, HTTPBasicAuth

from penstock import __version__
from penstock.adapters import dialects, tls
from penstock.adapters.cancellable_requests import CancellableAdapter
from penstock.adapters.credentials import Credentials
from penstock.adapters.http_errors import LONGEST_CONNECT, NoAuth, body
from penstock.adapters.http_proxy import is_tunnelled, settle
from penstock.adapters.oauth2 import TokenSource
from penstock.adapters.prometheus_response import HttpResponse
from penstock.adapters.redaction import Redactor
from penstock.domain.metrics_source import MetricsSource

LARGEST_ANSWER = 4 << 20
_OURS = {
    "User-Agent": f"penstock/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Content-Type": "application/x-www-form-urlencoded",
}
# An author may not set the headers that frame a request either.
_NOT_THEIRS = frozenset({*_OURS, "Host", "Connection", "Content-Length", "Transfer-Encoding"})


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class PrometheusSession(PrometheusConnect):  # type: ignore[misc]
    """prometheus-api-client with our own query method.

    Attributes:
        proxy: the proxy that it uses, if any.
    """

    def __init__(
        self,
        source: MetricsSource,
        credentials: Credentials,
        connections: int,
        monotonic: Callable[[], float],
        redactor: Redactor,
    ) -> None:
        """Prepare a session, without connecting yet.

        Raises:
            CredentialsUnavailable: certificates or keys cannot be used.
            ValueError: the address is not valid.
        """
        session = requests.Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        url = source.url.rstrip("/")
        given = {n: v for n, v in credentials.headers if n.title() not in _NOT_THEIRS}
        trust = tls.trust(credentials)
        super().__init__(url, session=session, auth=_auth(credentials), headers={**given, **_OURS})
        self.proxy = settle(session, url)
        # Replaces the library's adapter, which repeats requests.
        session.mount(url, CancellableAdapter(connections, trust))
        self._always = dialects.parameters(source)
        self._token_source: TokenSource | None = None
        if credentials.client is not None:
            token_trust = tls.token_server_trust(credentials)
            self._token_source = TokenSource(
                credentials.client, token_trust, monotonic, redactor.add
            )

    def ask(self, endpoint: str, form: Mapping[str, str], seconds: float) -> HttpResponse:
        """POST a form; the server has a slightly shorter timeout than the client.

        A rejected token may have been revoked early: one new token is tried.

        Raises:
            QueryError: there is no token, or no whole answer.
            requests.RequestException: and other failures of the network.
        """
        limit = seconds - min(1.0, seconds / 4)
        whole = {**form, "timeout": f"{int(limit * 1000)}ms", "stats": "true", **self._always}
        if self._token_source is None:
            return self._post(endpoint, whole, self.auth, seconds)
        token = self._token_source.token(seconds)
        response = self._post(endpoint, whole, _Bearer(token), seconds)
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._token_source.forget(token)
            response = self._post(
                endpoint, whole, _Bearer(self._token_source.token(seconds)), seconds
            )
        return response

    def close(self) -> None:
        """Close idle connections; requests in progress end normally."""
        self._session.close()
        if self._token_source is not None:
            self._token_source.close()

    def _post(
        self, endpoint: str, form: Mapping[str, str], auth: AuthBase, seconds: float
    ) -> HttpResponse:
        with self._session.post(
            f"{self.url}/api/v1/{endpoint}",
            data=form,
            headers=self.headers,
            auth=auth,
            timeout=(min(LONGEST_CONNECT, seconds), seconds + 1),
            stream=True,
            allow_redirects=False,
        ) as response:
            content = body(response, LARGEST_ANSWER)
            proxy = None if is_tunnelled(self.url) else self.proxy
            return HttpResponse(response.status_code, dict(response.headers), content, proxy)


def _auth(credentials: Credentials) -> AuthBase:
    if credentials.basic is not None:
        username, password = (text.encode() for text in credentials.basic)
        return HTTPBasicAuth(username, password)
    return NoAuth() if credentials.bearer is None else _Bearer(credentials.bearer)
