"""One HTTP server on one address. It serves the routes that it is given and knows none of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path and its handler; ``path`` may have variables, as in ``/v1/gate/{namespace}``."""

    method: str
    path: str
    handle: Handler


class HttpServer:
    """Listens from ``start`` to ``stop``."""

    def __init__(self, listen: str, routes: Sequence[Route]) -> None:
        """``listen`` is ``host:port``."""
        self._listen, self._routes = listen, routes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: the address is in use, or does not belong to this machine.
        """
        app = web.Application()
        for route in self._routes:
            app.router.add_route(route.method, route.path, route.handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        await web.TCPSite(self._runner, host, int(port)).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
