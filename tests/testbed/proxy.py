"""A reverse proxy of ours before the API server or Prometheus: passes everything on, or spoils it.

Owns the thread, the listening socket, total outages and the arming of fault plans; what a fault
does to a request is in `relay.py`, which requests are hit in `plan.py`. It speaks HTTP/1.1 only,
refuses nothing on its own account, and keeps no credentials.

TLS ends here, so client certificates do not pass: clients show bearer tokens, which do.

    plan = Plan((Rule(Match(("PATCH",), path="/status$", when=Nth(2)), ApplyThenCut()),))
    with before_api_server(bed.server, bed.pki) as proxy, proxy.faults(plan):
        token_kubeconfig(path, proxy.url, bed.ca_file, token(bed.kube, account))
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import aiohttp
from aiohttp import web

from testbed.fault_actions import Act
from testbed.fault_plan import Armed, Call, Plan
from testbed.proxy_relay import Exchange, Relay
from testbed.recorder import Recorder
from testbed.sockets import Accepting, Outgoing, bound_socket

if TYPE_CHECKING:
    from testbed.pki import Pki

T = TypeVar("T")

_LONGEST_LINE = 1 << 20
_PATIENCE = 15.0
_FAREWELL = 0.5  # how long a client may take to say goodbye in TLS


class FaultProxy:
    """Stands before one server, on a port of its own that stays the same through outages.

    Used as a context manager. With `certificate` (its file and its key's) clients speak TLS,
    without it plain HTTP. `ca_file` vouches for an upstream server that speaks TLS.
    """

    def __init__(
        self,
        upstream: str,
        *,
        ca_file: Path | None = None,
        certificate: tuple[Path, Path] | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder or Recorder()
        self._upstream = upstream.rstrip("/")
        self._trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._identity = _server_identity(*certificate) if certificate else None
        self._log: list[Exchange] = []
        self._armed: Armed | None = None
        self._armed_at = 0.0
        self._untold: list[Armed] = []
        self._is_down = True

    @property
    def url(self) -> str:
        """Where clients find the proxy."""
        return f"{'https' if self._identity else 'http'}://127.0.0.1:{self.port}"

    @property
    def log(self) -> list[Exchange]:
        """All requests so far, in order of arrival; those in progress go on changing."""
        return list(self._log)

    def __enter__(self) -> Self:
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if failure is not None:
            for armed in self._untold:
                failure.add_note(armed.report())

    def arm(self, plan: Plan) -> Armed:
        """Let the plan decide from now on, in place of the one before."""
        armed = plan.arm()
        self._armed_at = time.monotonic()
        self._armed = armed
        self._untold.append(armed)
        return armed

    def disarm(self) -> None:
        """Pass everything on again; faults in progress run to their end."""
        self._armed = None

    @contextmanager
    def faults(self, plan: Plan) -> Iterator[Armed]:
        """Arm the plan for a while; a test that fails meanwhile shows the plan and what it hit."""
        armed = self.arm(plan)
        try:
            yield armed
        except BaseException as failure:
            failure.add_note(armed.report())
            self._untold.remove(armed)
            raise
        finally:
            self.disarm()

    def down(self) -> None:
        """Total outage: open connections are cut, new ones refused. The port stays ours."""
        self._call(self._shut())

    def up(self) -> None:
        """End the outage, on the same port."""
        self._call(self._open())

    def cut_watches(self, path: str = "") -> int:
        """Cut the open watches whose path matches, so that they come again and meet the plan."""
        matches = re.compile(path).search
        return self._call(self._cut_watches(lambda exchange: matches(exchange.path) is not None))

    def let_through(self) -> None:
        """Forward at once what acts keep back: late requests, and late answers."""
        self._call(self._let_through())

    def wait(self, condition: Callable[[], T], seconds: float = _PATIENCE) -> T:
        """Wait until the condition holds, and return what it said; `TimeoutError` with the log."""
        end = time.monotonic() + seconds
        while not (outcome := condition()):
            if time.monotonic() > end:
                recent = "\n".join(exchange.describe() for exchange in self.log[-20:])
                raise TimeoutError(f"did not come about in {seconds:g} s; last requests:\n{recent}")
            time.sleep(0.02)
        return outcome

    def _decide(self, call: Call) -> Act | None:
        armed = self._armed
        return armed.decide(call, time.monotonic() - self._armed_at) if armed else None

    def _run(self, started: Future[None]) -> None:
        try:
            asyncio.run(self._live(started))
        except BaseException as failure:
            if started.done():
                raise
            started.set_exception(failure)

    async def _live(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        sockets = Outgoing()
        async with _session(self._trust, sockets) as session:
            self._relay = Relay(session, self._upstream, self._decide, self._log, self.recorder)
            self._server = Accepting(
                self._handle,
                handler_cancellation=True,
                access_log=None,
                auto_decompress=False,
                max_line_size=_LONGEST_LINE,
                max_field_size=_LONGEST_LINE,
            )
            self._placeholder = bound_socket(0)
            self.port: int = self._placeholder.getsockname()[1]
            await self._open()
            started.set_result(None)
            await self._stop.wait()
            await self._shut()
            await self._relay.close()
            self._placeholder.close()
        await sockets.closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._is_down and request.transport is not None:
            request.transport.abort()  # it was in the middle of its handshake when we went down
            return web.Response()
        return await self._relay.handle(request)

    async def _open(self) -> None:
        if not self._is_down:
            return
        self._placeholder.close()
        self._is_down = False
        self._listener = await self._loop.create_server(
            self._server,
            sock=bound_socket(self.port),
            ssl=self._identity,
            ssl_shutdown_timeout=_FAREWELL if self._identity else None,
        )

    async def _shut(self) -> None:
        """Stop listening and cut all; a socket that does not listen keeps others off the port."""
        if self._is_down:
            return
        self._is_down = True
        self._listener.close()
        self._placeholder = bound_socket(self.port)
        await self._server.cut_all()

    async def _cut_watches(self, matches: Callable[[Exchange], bool]) -> int:
        return self._relay.cut_watches(matches)

    async def _let_through(self) -> None:
        self._relay.let_through()

    def _call(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)


def _server_identity(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _session(trust: ssl.SSLContext | None, sockets: Outgoing) -> aiohttp.ClientSession:
    """A client that passes on and interprets nothing: no cookies, no limits, no time-outs."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust or True, limit=0, socket_factory=sockets),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_PATIENCE),
        auto_decompress=False,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )


def before_api_server(server: str, pki: Pki, recorder: Recorder | None = None) -> FaultProxy:
    """A proxy whose certificate the bed's own authority signed, as the API server's is."""
    pki.issue("fault-proxy", "fault-proxy", sans=["127.0.0.1"])
    certificate = pki.folder / "fault-proxy.crt", pki.folder / "fault-proxy.key"
    return FaultProxy(
        server, ca_file=pki.folder / "ca.crt", certificate=certificate, recorder=recorder
    )
