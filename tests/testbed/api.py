"""A small synchronous client of the API server, for the test bed's own needs.

Owns connections and the decoding of answers; it knows no kind of object, caches nothing and never
repeats a request by itself, because a test must see what really happened. Standard library only:
the node is a process of its own and has to start in a fraction of a second.

It reads the kubeconfigs that the test bed writes: JSON, with embedded certificates or a token.
Whatever breaks on the way to the server is an `OSError`; what the server refuses is an `ApiError`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import ssl
import threading
import urllib.parse
from collections.abc import Collection, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

_HANDSHAKE_SECONDS = 15.0


class ApiError(Exception):
    """The server's refusal; `causes` are the single mistakes that it found in the object."""

    def __init__(self, code: int, reason: str, message: str, body: Any) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.body = body

    @property
    def causes(self) -> list[dict[str, str]]:
        details = self.body.get("details") if isinstance(self.body, dict) else None
        return list((details or {}).get("causes") or ())


class Kube:
    """Speaks to one API server as one user; may be used from several threads at once."""

    def __init__(self, kubeconfig: Path) -> None:
        cluster, user = _current(json.loads(kubeconfig.read_text()))
        self.server: str = cluster["server"]
        address = urllib.parse.urlsplit(self.server)
        self._host, self._port = address.hostname or "", address.port or 443
        self._tls = _tls_context(cluster, user)
        self._identity = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._idle: list[http.client.HTTPSConnection] = []
        self._lock = threading.Lock()

    def call(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
        ok: Collection[int] = (),
        timeout: float = 15.0,
    ) -> Any:
        """The decoded answer, None for a status in `ok`, or `ApiError`. Plain text stays text."""
        connection = self._take(timeout)
        try:
            response = self._send(connection, method, path, body, content_type)
            content = response.read()
        except BaseException as error:
            connection.close()
            if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
                raise ConnectionError(f"{method} {path}: {error!r}") from error
            raise
        self._give_back(connection, response)
        if response.status in ok:
            return None
        return _decoded(response, content)

    def watch(
        self, path: str, resource_version: str, timeout: int = 300
    ) -> Generator[dict[str, Any], None, None]:
        """Events as they come, those of type ERROR too, until the server ends the watch."""
        query = urllib.parse.urlencode(
            {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": timeout}
        )
        with closing(self._connection(timeout + _HANDSHAKE_SECONDS)) as connection:
            try:
                joined = f"{path}{'&' if '?' in path else '?'}{query}"
                with self._send(connection, "GET", joined, None, "application/json") as response:
                    if response.status != http.HTTPStatus.OK:
                        _decoded(response, response.read())
                    for line in response:
                        yield json.loads(line)
            except http.client.HTTPException as error:
                raise ConnectionError(f"watch of {path}: {error!r}") from error

    def close(self) -> None:
        """Close connections kept for later; the client stays usable."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def __del__(self) -> None:
        if hasattr(self, "_idle"):
            self.close()

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: object | None,
        content_type: str,
    ) -> http.client.HTTPResponse:
        text = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": content_type, **self._identity}
        connection.request(method, path, text, headers)
        return connection.getresponse()

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=timeout, context=self._tls
        )

    def _take(self, timeout: float) -> http.client.HTTPSConnection:
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return self._connection(timeout)
            if kept.sock is not None and not _is_readable(kept):
                kept.sock.settimeout(timeout)
                return kept
            kept.close()

    def _give_back(
        self, connection: http.client.HTTPSConnection, response: http.client.HTTPResponse
    ) -> None:
        if response.will_close:
            connection.close()
            return
        with self._lock:
            self._idle.append(connection)


def _is_readable(connection: http.client.HTTPSConnection) -> bool:
    """Between requests nothing is to be read but that the server has gone."""
    readiness = select.poll()
    readiness.register(connection.sock, select.POLLIN)
    return bool(readiness.poll(0))


def _decoded(response: http.client.HTTPResponse, content: bytes) -> Any:
    is_json = (response.getheader("Content-Type") or "").startswith("application/json")
    body = json.loads(content) if is_json else content.decode(errors="replace")
    if response.status < http.HTTPStatus.BAD_REQUEST:
        return body
    status = body if isinstance(body, dict) else {}
    reason = status.get("reason") or response.reason
    raise ApiError(response.status, reason, status.get("message") or str(body).strip(), body)


def _current(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user of the current context."""
    contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
    clusters = {entry["name"]: entry["cluster"] for entry in config["clusters"]}
    users = {entry["name"]: entry["user"] for entry in config["users"]}
    context = contexts[config["current-context"]]
    return clusters[context["cluster"]], users[context["user"]]


def _tls_context(cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        _load_identity(context, user["client-certificate-data"], user["client-key-data"])
    return context


def _load_identity(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Through pipes, because the library reads files only and a key does not belong in one."""
    ends = [_pipe_holding(base64.b64decode(part)) for part in (certificate, key)]
    try:
        context.load_cert_chain(*(f"/dev/fd/{end}" for end in ends))
    finally:
        for end in ends:
            os.close(end)


def _pipe_holding(content: bytes) -> int:
    """The reading end of a pipe; certificates and keys are smaller than what a pipe holds."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read
