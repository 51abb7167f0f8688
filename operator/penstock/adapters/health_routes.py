"""The routes /healthz, /readyz and /metrics of every replica."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from penstock.adapters.http_server import Route


def probe_route(path: str, check: Callable[[], str]) -> Route:
    """A probe: 200 while ``check`` finds nothing wrong, else 503 with what it found."""

    async def handle(_: web.Request) -> web.StreamResponse:
        wrong = check()
        return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

    return Route("GET", path, handle)


def metrics_route(scrape: Callable[[], bytes]) -> Route:
    """/metrics; ``scrape`` returns the current metrics in Prometheus' text format."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=scrape(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Route("GET", "/metrics", handle)
