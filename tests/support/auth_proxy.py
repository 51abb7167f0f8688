"""A small gate before a real Prometheus, for what Prometheus cannot ask for itself.

It wants a bearer token or certain headers, gives out tokens for client credentials, and can be told
to answer as servers do that know no discretion: with everything that they were sent.
"""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote_plus, urlsplit

TOKENS = "/oauth2/token"


@dataclass
class AuthProxy:
    """What it wants, what it gives, and what it has seen; a test changes it while it stands.

    Attributes:
        upstream: the real Prometheus.
        bearers: tokens that are let through; empty for everybody.
        wanted: headers that each request must carry.
        clients: secrets of the clients that get tokens, by their names.
        in_body: the token server takes name and secret in the body alone.
        lasts: seconds that a token is said to be good for; None is not said.
        blunder: how every query is answered, instead of passing it on.
        forms: the form of each query that was let through.
        issued: every token that was given out.
        shown: every Authorization that came.
    """

    upstream: str
    bearers: set[str] = field(default_factory=set)
    wanted: dict[str, str] = field(default_factory=dict)
    clients: dict[str, str] = field(default_factory=dict)
    in_body: bool = False
    lasts: float | None = 3_600
    token_status: int = 200
    blunder: str = ""
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    issued: list[str] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    url: str = ""

    @property
    def token_url(self) -> str:
        return f"{self.url}{TOKENS}"


@contextmanager
def auth_proxy(upstream: str, **wanted: object) -> Iterator[AuthProxy]:
    """A gate that stands until the context is left."""
    standing = AuthProxy(upstream, **wanted)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(standing))
    server.daemon_threads = False
    standing.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield standing
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(standing: AuthProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            standing.shown.update(self.headers.get_all("Authorization") or ())
            if self.path == TOKENS:
                self._answer(*_token(standing, self.headers, body))
            elif not _lets_in(standing, self.headers):
                self._answer(401, {"error": f"who is {dict(self.headers)}?"})
            elif standing.blunder:
                self._blunder(body)
            else:
                standing.forms.append(parse_qs(body.decode()))
                self._pass_on(body)

        def _blunder(self, body: bytes) -> None:
            message = json.dumps(dict(self.headers)) + body.decode()
            match standing.blunder:
                case "500":
                    self._answer(500, {"status": "error", "errorType": "x", "error": message})
                case "422":
                    self._answer(422, {"status": "error", "errorType": "x", "error": message})
                case "html":
                    self._send(200, message.encode(), {"Content-Type": "text/html"})
                case "warnings":
                    data = {"resultType": "vector", "result": []}
                    answer = {"status": "success", "data": data, "warnings": [message]}
                    self._answer(200, answer)
                case "redirect":
                    self._send(302, b"", {"Location": f"http://127.0.0.1:1/?{message[:500]!r}"})
                case "type":
                    self._send(200, b"?", {"Content-Type": message[:1_000]})
                case other:
                    raise AssertionError(other)

        def _pass_on(self, body: bytes) -> None:
            parts = urlsplit(standing.upstream)
            assert parts.hostname is not None
            with closing(
                http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
            ) as connection:
                kind = {"Content-Type": self.headers["Content-Type"]}
                connection.request("POST", self.path, body, kind)
                answer = connection.getresponse()
                self._send(answer.status, answer.read(), {"Content-Type": "application/json"})

        def _answer(self, status: int, body: object) -> None:
            self._send(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """It says nothing."""

    return Handler


def _lets_in(standing: AuthProxy, headers: Mapping[str, str]) -> bool:
    shown = headers.get("Authorization") or ""
    known = {f"Bearer {token}" for token in standing.bearers}
    wanted = all(headers.get(name) == value for name, value in standing.wanted.items())
    return wanted and (not known or shown in known)


def _token(standing: AuthProxy, headers: Mapping[str, str], body: bytes) -> tuple[int, object]:
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    scheme, _, shown = (headers.get("Authorization") or "").partition(" ")
    name, secret = form.get("client_id", ""), form.get("client_secret", "")
    if scheme == "Basic" and not standing.in_body:
        both = base64.b64decode(shown).decode().partition(":")
        name, secret = unquote_plus(both[0]), unquote_plus(both[2])
    if standing.token_status != 200:
        return standing.token_status, {"error": f"{dict(headers)}{form}"}
    if form.get("grant_type") != "client_credentials" or standing.clients.get(name) != secret:
        return 401, {"error": "invalid_client", "error_description": f"{dict(headers)}{form}"}
    token = f"planted-access-{len(standing.issued)}-{id(standing):x}"
    standing.issued.append(token)
    standing.bearers.add(token)
    told = {"access_token": token, "token_type": "Bearer", "scope": form.get("scope", "")}
    return 200, told if standing.lasts is None else {**told, "expires_in": standing.lasts}
