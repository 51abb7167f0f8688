"""Runs blocking requests in a few threads of their own, and ends those that take too long.

A thread cannot be stopped from outside, but the connection that it waits for can be cut,
which ends it within moments. Timeouts of the HTTP client are not enough: they restart with each
byte that a slow server sends. The threads are daemons, so that none of them delays the operator's
exit.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import Retry

T = TypeVar("T")


class ThreadsExhausted(Exception):
    """Earlier requests have not ended, so no more threads are started."""


class _HasSocket(Protocol):
    sock: socket.socket | None


class Cancellation:
    """The connection that one request uses, so that it can be cut from outside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: _HasSocket | None = None
        self._is_cut = False

    def use(self, connection: _HasSocket | None) -> None:
        """Called by the thread itself, before it waits."""
        with self._lock:
            if self._is_cut:
                raise TimeoutError("cut before it began")
            self._connection = connection

    def cancel(self) -> None:
        """Wake the thread up, wherever it waits. Not by close(): that would not wake it."""
        with self._lock:
            self._is_cut = True
            used = self._connection.sock if self._connection is not None else None
            if used is not None:
                with suppress(OSError):
                    # That of the plain socket: the one of TLS would talk to the other side first.
                    socket.socket.shutdown(used, socket.SHUT_RDWR)

    def leave(self) -> None:
        """The request is over; its connection now serves others."""
        with self._lock:
            self._connection = None


_here = threading.local()


class _Http(HTTPConnection):
    def connect(self) -> None:
        _register(self)
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        _register(self)
        super().request(*args, **kwargs)


class _Https(HTTPSConnection):
    def connect(self) -> None:
        _register(self)
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        _register(self)
        super().request(*args, **kwargs)


def _register(connection: HTTPConnection) -> None:
    cancellation: Cancellation | None = getattr(_here, "cancellation", None)
    if cancellation is not None:
        cancellation.use(connection)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS options that differ from the system's.

    Attributes:
        context: what to trust, and which certificate to present.
        alone: do not trust the system's certificates as well.
        server_name: the name that the server's certificate must have.
    """

    context: ssl.SSLContext | None = None
    alone: bool = False
    server_name: str | None = None


class CancellableAdapter(HTTPAdapter):
    """Connections of `requests` that can be cut; it never repeats a request by itself."""

    def __init__(self, connections: int, tls: TlsOptions | None = None) -> None:
        self._tls = tls or TlsOptions()
        super().__init__(
            pool_connections=1, pool_maxsize=connections, max_retries=Retry(0, read=False)
        )

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As `requests` documents it for a custom TLS context."""
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            if self._tls.alone:
                pool = {"cert_reqs": "CERT_REQUIRED"}
            if self._tls.context is not None:
                pool["ssl_context"] = self._tls.context
            if self._tls.server_name is not None:
                pool["server_hostname"] = self._tls.server_name
        return host, pool

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Does nothing: the original would trust the system's certificates again."""
        if not (self._tls.alone and url.lower().startswith("https")):
            super().cert_verify(conn, url, verify, cert)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Also called when an adapter is copied."""
        super().init_poolmanager(*args, **kwargs)
        _use_our_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """The same through a proxy from the environment."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        _use_our_pools(manager)
        return manager


def _use_our_pools(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


class RequestThreads:
    """A limited number of threads, including those that were cut and have not ended yet."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: list[_Job[Any]] = []

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """Run ``work`` in a thread of its own.

        Raises:
            TimeoutError: it took longer; its connection was cut.
            ThreadsExhausted: too many earlier requests have not ended.
        """
        self._jobs = [job for job in self._jobs if not job.is_over]
        if len(self._jobs) >= self._most:
            raise ThreadsExhausted
        job = _Job(work, asyncio.get_running_loop())
        self._jobs.append(job)
        job.thread.start()
        try:
            async with asyncio.timeout(seconds):
                return await job.done
        finally:
            if not job.is_over:
                job.cancellation.cancel()


class _Job(Generic[T]):
    """One call in one thread; its result is handed to the event loop."""

    def __init__(self, work: Callable[[], T], loop: asyncio.AbstractEventLoop) -> None:
        self._work, self._loop = work, loop
        self.done: asyncio.Future[T] = loop.create_future()
        self.cancellation = Cancellation()
        self.is_over = False
        self.thread = threading.Thread(target=self._run, name="penstock-metrics", daemon=True)

    def _run(self) -> None:
        _here.cancellation = self.cancellation
        outcome: Future[T] = Future()
        try:
            outcome.set_result(self._work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            outcome.set_exception(error)
        self.cancellation.leave()
        self.is_over = True
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            self._loop.call_soon_threadsafe(self._resolve, outcome)

    def _resolve(self, outcome: Future[T]) -> None:
        if self.done.done():  # it was given up
            return
        error = outcome.exception()
        if error is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(outcome.result())
