"""Tokens for client credentials (RFC 6749, 4.4).

A token is requested when it is needed and kept until shortly before it expires.
Everything here blocks: it is for the request threads.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote_plus, urlsplit

import requests
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

from penstock.adapters.cancellable_requests import CancellableAdapter, TlsOptions
from penstock.adapters.credentials import Client
from penstock.adapters.http_errors import LONGEST_CONNECT, NoAuth, body, unreachable
from penstock.adapters.http_proxy import HttpProxy, is_tunnelled, login_required, settle
from penstock.adapters.prometheus_response import QueryError, QueryOutcome

DEFAULT_SECONDS = 300.0
# Share of a token's lifetime; the rest allows for clock skew and network latency.
USED_SHARE = 0.9
LARGEST_ANSWER = 64 << 10
_ERROR = re.compile("[a-z_]{1,40}")
_TOKEN = re.compile("[!-~]{1,16384}")


class TokenSource:
    """The token of one client; threads share it."""

    def __init__(
        self,
        client: Client,
        tls: TlsOptions,
        monotonic: Callable[[], float],
        learn: Callable[[str], None],
    ) -> None:
        """``learn`` gets each token, so that it is redacted everywhere."""
        self._client, self._monotonic, self._learn = client, monotonic, learn
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._proxy: HttpProxy | None = None
        with suppress(ValueError):  # an invalid address fails when it is used, with its name
            self._proxy = settle(self._session, client.token_url)
        self._session.mount(client.token_url, CancellableAdapter(1, tls))
        self._lock = threading.Lock()
        self._token, self._until = "", 0.0
        self._in_body = False

    def token(self, seconds: float) -> str:
        """A valid token, requested within the timeout.

        Raises:
            QueryError: there is none.
        """
        if not self._lock.acquire(timeout=seconds):
            raise QueryError(QueryOutcome.TIMEOUT, f"{self._server} does not answer")
        try:
            now = self._monotonic()
            if now >= self._until:
                self._token, good_for = self._asked(seconds)
                self._until = now + good_for * USED_SHARE
                self._learn(self._token)
            return self._token
        finally:
            self._lock.release()

    def forget(self, token: str) -> None:
        """The server rejects this token; if another has replaced it meanwhile, that one stays."""
        with self._lock:
            if self._token == token:
                self._until = 0.0

    def close(self) -> None:
        """Close idle connections."""
        self._session.close()

    @property
    def _server(self) -> str:
        return f"the token server {urlsplit(self._client.token_url).hostname}"

    def _asked(self, seconds: float) -> tuple[str, float]:
        """Servers must accept name and secret in a header; some accept them only in the body."""
        status, answer = self._post(seconds, in_body=self._in_body)
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
            status, answer = self._post(seconds, in_body=not self._in_body)
            if status == HTTPStatus.OK:
                self._in_body = not self._in_body
        if status != HTTPStatus.OK:
            raise self._refused(status, answer)
        token, kind = answer.get("access_token"), str(answer.get("token_type") or "bearer")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token) or kind.lower() != "bearer":
            raise QueryError(
                QueryOutcome.MALFORMED, f"{self._server} returned no bearer token; check tokenUrl"
            )
        return token, _seconds(answer.get("expires_in"))

    def _post(self, seconds: float, *, in_body: bool) -> tuple[int, dict[str, Any]]:
        client = self._client
        form = {"grant_type": "client_credentials"}
        if client.scopes:
            form["scope"] = " ".join(client.scopes)
        if in_body:
            form |= {"client_id": client.name, "client_secret": client.secret}
        shown = HTTPBasicAuth(quote_plus(client.name), quote_plus(client.secret))
        try:
            with self._session.post(
                client.token_url,
                data=form,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auth=NoAuth() if in_body else shown,
                timeout=(min(LONGEST_CONNECT, seconds), seconds),
                stream=True,
                allow_redirects=False,
            ) as response:
                return response.status_code, _decoded(body(response, LARGEST_ANSWER))
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failed = unreachable(error, self._proxy)
            raise QueryError(failed.outcome, f"{self._server}: {failed.detail}") from None

    def _refused(self, status: int, answer: dict[str, Any]) -> QueryError:
        word = answer.get("error")
        why = f" ({word})" if isinstance(word, str) and _ERROR.fullmatch(word) else ""
        message = f"{self._server} answers {status}{why}"
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            proxy = None if is_tunnelled(self._client.token_url) else self._proxy
            asked = login_required("407 Proxy Authentication Required", proxy)
            return QueryError(QueryOutcome.UNAUTHORIZED, f"{self._server}: {asked}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            return QueryError(QueryOutcome.UNREACHABLE, message)
        return QueryError(QueryOutcome.UNAUTHORIZED, f"{message}; check spec.auth.oauth2")


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(given: object) -> float:
    """The lifetime of a token; some servers write the number as text."""
    try:
        seconds = float(given) if isinstance(given, int | float | str) else DEFAULT_SECONDS
    except ValueError:
        return DEFAULT_SECONDS
    return seconds if 0 < seconds < 365 * 86_400 else DEFAULT_SECONDS
