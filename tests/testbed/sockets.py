"""Keeps account of the fault proxy's sockets, so that none outlives it.

Owns what the HTTP library does not tell: which connections are really closed. It forgets a TLS
connection as soon as it has begun to say goodbye on it; an event loop that ends meanwhile would
leave the socket open, and a test that had nothing to do with it would fail for that.
"""

from __future__ import annotations

import asyncio
import socket
import weakref
from contextlib import suppress
from typing import Any

from aiohttp import web

_PATIENCE = 15.0


class Accepting(web.Server):
    """The server for clients, which knows its connections until they are really closed."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self._all_closed.clear()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        self._transports.pop(handler, None)
        if not self._transports:
            self._all_closed.set()

    async def cut_all(self) -> None:
        """Cut every connection, and wait until none is left."""
        for transport in self._transports.values():
            transport.abort()
        await self._all_closed.wait()
        await self.shutdown(_PATIENCE)


class Outgoing:
    """Makes the sockets to the upstream server, and sees to it that none is left open."""

    def __init__(self) -> None:
        self._made: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def __call__(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setblocking(False)
        self._made.add(made)
        return made

    async def closed(self) -> None:
        """Hang up on those that are still open, and wait until their transports closed them."""
        lingering = [made for made in self._made if made.fileno() >= 0]
        for made in lingering:
            with suppress(OSError):
                made.shutdown(socket.SHUT_RDWR)
        async with asyncio.timeout(_PATIENCE):
            while any(made.fileno() >= 0 for made in lingering):  # noqa: ASYNC110 - none tells
                await asyncio.sleep(0.005)


def bound_socket(port: int) -> socket.socket:
    """A socket that holds the port, a free one for 0; who connects is refused until it listens."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    return bound
