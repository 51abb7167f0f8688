"""What all HTTP requests to metrics sources have in common.

No credentials that nobody configured, bounded bodies, and network failures in our own words, since
those of the libraries are long and vary.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import requests
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, HTTPError

from penstock.adapters.http_proxy import HttpProxy, login_required, tunnel_status
from penstock.adapters.prometheus_response import QueryError, QueryOutcome, excerpt

LONGEST_CONNECT = 2.0
_CHUNK = 1 << 16


class NoAuth(AuthBase):
    """Sends nothing; without it `requests` would look for a password in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Leave the request as it is."""
        return request


def body(response: requests.Response, largest: int) -> bytes:
    """The whole body as it was sent.

    Raises:
        QueryError: it is longer than the limit, or ends too soon.
    """
    content = bytearray()
    try:
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            content += chunk
            if len(content) > largest:
                limit = f"{largest >> 20} MiB" if largest >> 20 else f"{largest >> 10} KiB"
                raise QueryError(QueryOutcome.MALFORMED, f"the answer is longer than {limit}")
    except HTTPError as error:
        raise QueryError(QueryOutcome.MALFORMED, "the answer ends before it is complete") from error
    return bytes(content)


def unreachable(error: BaseException, proxy: HttpProxy | None = None) -> QueryError:
    """A network failure, on the way to the server or to the proxy before it."""
    if proxy is not None and isinstance(error, requests.exceptions.InvalidURL):
        return QueryError(QueryOutcome.UNREACHABLE, f"its address or that of {proxy} is invalid")
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_failure(error, proxy)
    return _network_failure(error)


def _proxy_failure(error: BaseException, proxy: HttpProxy | None) -> QueryError:
    for cause in _chain(error):
        match tunnel_status(str(cause)):
            case None:
                continue
            case HTTPStatus.PROXY_AUTHENTICATION_REQUIRED as status:
                detail = login_required(f"{status.value} {status.phrase}", proxy)
                return QueryError(QueryOutcome.UNAUTHORIZED, detail)
            case status:
                return QueryError(
                    QueryOutcome.UNREACHABLE,
                    f"{proxy or 'the proxy'} does not connect to it: {status.value} "
                    f"{status.phrase}; allow it there, or list the host in NO_PROXY",
                )
    failed = _network_failure(error)
    return QueryError(failed.outcome, f"{proxy or 'the proxy'}: {failed.detail}")


def _network_failure(error: BaseException) -> QueryError:
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return QueryError(QueryOutcome.UNREACHABLE, "the name does not resolve")
            case ConnectionRefusedError():
                return QueryError(QueryOutcome.UNREACHABLE, "connection refused")
            case ssl.SSLCertVerificationError():
                return QueryError(QueryOutcome.UNREACHABLE, f"TLS: {excerpt(cause.verify_message)}")
            case ssl.SSLError():
                return QueryError(
                    QueryOutcome.UNREACHABLE, f"TLS: {excerpt(cause.reason or 'failed')}"
                )
    # Behind a ProxyError `requests` does not name the timeout.
    if any(type(cause) is ConnectTimeoutError for cause in _chain(error)):
        return QueryError(QueryOutcome.UNREACHABLE, f"no connection within {LONGEST_CONNECT:g} s")
    if isinstance(error, requests.ConnectionError):
        return QueryError(QueryOutcome.UNREACHABLE, "the connection was closed without an answer")
    return QueryError(QueryOutcome.UNREACHABLE, f"request failed ({type(error).__name__})")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it; urllib3 keeps causes in ``args`` and ``reason`` too."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
