"""The HTTP server on a real port: it serves the routes that it was given, and no others."""

from __future__ import annotations

import asyncio
import http.client
from contextlib import closing

import pytest
from aiohttp import web

from penstock.adapters.health_routes import metrics_route, probe_route
from penstock.adapters.http_server import HttpServer, Route
from testbed.servers import free_ports


async def greet(request: web.Request) -> web.StreamResponse:
    return web.Response(text=f"hello {request.match_info['name']}")


def answers(routes: list[Route], *paths: str, method: str = "GET") -> list[tuple[int, str]]:
    """Status and body of each path, asked of a server with these routes."""
    (port,) = free_ports(1)

    def ask(path: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    async def life() -> list[tuple[int, str]]:
        server = HttpServer(f"127.0.0.1:{port}", routes)
        await server.start()
        try:
            return [await asyncio.to_thread(ask, path) for path in paths]
        finally:
            await server.stop()

    return asyncio.run(life())


def test_a_route_is_served_with_the_variables_of_its_path() -> None:
    routes = [Route("GET", "/v1/greet/{name}", greet)]
    assert answers(routes, "/v1/greet/web", "/metrics")[0] == (200, "hello web")
    assert answers(routes, "/metrics")[0][0] == 404
    assert answers(routes, "/v1/greet/web", method="POST")[0][0] == 405


def test_a_probe_answers_503_with_what_is_wrong_and_200_once_nothing_is() -> None:
    found = iter(["the first list is not complete", ""])
    routes = [probe_route("/readyz", lambda: next(found))]
    assert answers(routes, "/readyz", "/readyz") == [
        (503, "the first list is not complete\n"),
        (200, "ok\n"),
    ]


def test_metrics_are_read_at_each_scrape() -> None:
    scrapes = iter([b"up 0\n", b"up 1\n"])
    assert answers([metrics_route(lambda: next(scrapes))], "/metrics", "/metrics") == [
        (200, "up 0\n"),
        (200, "up 1\n"),
    ]


def test_an_address_that_is_taken_is_an_error_at_the_start() -> None:
    async def life(port: int) -> None:
        first = HttpServer(f"127.0.0.1:{port}", [])
        second = HttpServer(f"127.0.0.1:{port}", [])
        await first.start()
        try:
            with pytest.raises(OSError, match="address already in use"):
                await second.start()
        finally:
            await second.stop()
            await first.stop()

    asyncio.run(life(*free_ports(1)))
