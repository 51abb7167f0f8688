"""Which watches of the feed are connected. Kopf retries them for ever without reporting it.

The facts come from the HTTP session that Kopf uses: a watch is lost from Kopf's first request for
its list or stream until the API server answers a stream with 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Iterable
from typing import Any

import aiohttp
import kopf

from penstock.engine.ports import Clock

CLOSE_SECONDS = 1.0
NEVER = float("-inf")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TracedSession(kopf.AiohttpSession):
    """An HTTP session for Kopf. It equals any other session with the same credentials.

    Kopf gives up on credentials that equal refused ones. If sessions differed, no two credentials
    would be equal, and Kopf would retry for ever without a pause.
    """

    aiohttp_session: aiohttp.ClientSession = dataclasses.field(compare=False, repr=False)
    credentials: kopf.ConnectionInfo = dataclasses.field(repr=False)


class WatchStreams:
    """Since when each watch is lost, across restarts of Kopf.

    Written in the thread of the feed, read in that of the event loop.
    """

    def __init__(self, clock: Clock, plurals: Iterable[str]) -> None:
        """``plurals`` are the resources that must be watched, until Kopf starts with its own."""
        self._clock, self._lock = clock, threading.Lock()
        # By plural until Kopf requests it, then by path. None: connected; -inf: never connected.
        self._lost: dict[str, float | None] = dict.fromkeys(plurals, NEVER)
        self._plurals = frozenset(self._lost)
        self._life = 0

    def lost(self) -> tuple[str, float] | None:
        """The plural that has been lost longest, and for how many seconds; None: all are connected.

        Seconds are infinite for a watch that has never been connected.
        """
        with self._lock:
            lost = [(since, key) for key, since in self._lost.items() if since is not None]
        if not lost:
            return None
        since, key = min(lost)
        return _plural(key), self._clock.monotonic() - since

    def lose_all(self) -> None:
        """The Kopf operator that connected them has ended; its later requests no longer count."""
        with self._lock:
            self._life += 1
            now = self._clock.monotonic()
            self._lost = {key: now if since is None else since for key, since in self._lost.items()}

    def trace(self, plurals: Iterable[str]) -> aiohttp.TraceConfig:
        """The hooks that Kopf's sessions need so that its requests are seen.

        ``plurals`` are the resources that it watches, until all are lost again.
        """
        with self._lock:
            life, self._plurals = self._life, frozenset(plurals)
            kept = {key: at for key, at in self._lost.items() if _plural(key) in self._plurals}
            for new in self._plurals - {_plural(key) for key in kept}:
                kept[new] = NEVER
            self._lost = kept

        async def asked(_: Any, __: Any, start: aiohttp.TraceRequestStartParams) -> None:
            self._asked(life, start.url.path)

        async def answered(_: Any, __: Any, end: aiohttp.TraceRequestEndParams) -> None:
            if end.response.status == 200 and end.url.query.get("watch") == "true":
                self._connected(life, end.url.path)

        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(asked)
        trace.on_request_end.append(answered)
        return trace

    def _asked(self, life: int, path: str) -> None:
        with self._lock:
            plural = _plural(path)
            if life != self._life or plural not in self._plurals:
                return
            if path not in self._lost:
                self._lost[path] = self._lost.pop(plural, NEVER)
            if self._lost[path] is None:
                self._lost[path] = self._clock.monotonic()

    def _connected(self, life: int, path: str) -> None:
        with self._lock:
            if life == self._life and path in self._lost:
                self._lost[path] = None


def _plural(key: str) -> str:
    return key.rpartition("/")[2]


class Sessions:
    """The HTTP sessions of one Kopf operator. Kopf closes those it uses, ``close`` the rest."""

    def __init__(self, trace: aiohttp.TraceConfig) -> None:
        self._trace = trace
        self._open: list[aiohttp.ClientSession] = []

    def open(self, info: kopf.ConnectionInfo) -> TracedSession:
        """Create a session for these credentials, as Kopf itself would."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            proxy=info.proxy_url,
            trust_env=info.trust_env,
            trace_configs=[self._trace],
        )
        self._open = [*(one for one in self._open if not one.closed), session]
        return TracedSession(
            server=info.server,
            priority=info.priority,
            default_namespace=info.default_namespace,
            expiration=info.expiration,
            aiohttp_session=session,
            credentials=info,
        )

    async def close(self) -> None:
        """Close the sessions that Kopf has not closed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for session in self._open:
                    await session.close()
