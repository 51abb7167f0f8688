"""Carries one request of the fault proxy to its upstream server and the answer back.

Owns forwarding and what each act of a fault plan means for a request; bodies are spoiled in
`spoil.py`, and which request gets which act is decided by whoever made the relay. A relay lives in
one event loop and keeps no state of its own but the log of exchanges.

Where the upstream server cannot be reached the client's connection is closed instead of answered
with 502, because that is what the client would have met without a proxy.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from testbed.body_faults import Broken, Chunks, changes_length, spoiled
from testbed.fault_actions import (
    Act,
    ApplyThenCut,
    BodyAct,
    CutThenApply,
    Delay,
    Drop,
    LateAnswer,
    ReplaceBody,
    StaleList,
    Status,
)
from testbed.fault_plan import Call
from testbed.recorder import FORM, Attempt, Recorder, may_write

_OF_ONE_CONNECTION = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_SET_BY_CLIENT_LIBRARY = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


@dataclass
class Exchange:
    """One request as the log tells it; `status` and `size` are what the client was sent."""

    at: datetime
    method: str
    path: str
    query: str
    user_agent: str
    status: int | None = None
    size: int = 0
    fault: str = ""
    ended: bool = False
    seconds: float = 0.0

    @property
    def is_watch(self) -> bool:
        """Whether this is a stream of events, which ends when somebody ends it."""
        return ("watch", "true") in parse_qsl(self.query) or ("watch", "1") in parse_qsl(self.query)

    def describe(self) -> str:
        """One line for a report."""
        query = f"?{self.query}" if self.query else ""
        fault = f" ({self.fault})" if self.fault else ""
        return f"{self.at:%H:%M:%S.%f} {self.method} {self.path}{query}: {self.status}{fault}"


class Relay:
    """Forwards requests to one upstream server, with the faults that `decide` asks for."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstream: str,
        decide: Callable[[Call], Act | None],
        log: list[Exchange],
        recorder: Recorder,
    ) -> None:
        self._session = session
        self._upstream = upstream
        self._decide = decide
        self._log = log
        self._recorder = recorder
        self._late: set[asyncio.Task[None]] = set()
        self._let_through = asyncio.Event()
        self._open: dict[int, tuple[Exchange, asyncio.BaseTransport]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, or close its connection."""
        body = await request.content.read()
        exchange = _exchange(request)
        self._log.append(exchange)
        if request.transport is not None:
            self._open[id(exchange)] = exchange, request.transport
        begun = asyncio.get_running_loop().time()
        try:
            return await self._obey(self._act_on(request, body), request, body, exchange)
        except Broken:
            return _close(request)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            exchange.fault = exchange.fault or f"connection lost: {error!r}"
            return _close(request)
        finally:
            self._open.pop(id(exchange), None)
            exchange.ended = True
            exchange.seconds = asyncio.get_running_loop().time() - begun

    def cut_watches(self, matches: Callable[[Exchange], bool]) -> int:
        """Close the connections of open watches, and say how many there were."""
        found = [
            transport
            for exchange, transport in self._open.values()
            if exchange.is_watch and matches(exchange)
        ]
        for transport in found:
            transport.close()
        return len(found)

    def let_through(self) -> None:
        """End the wait of every request and answer that is kept back."""
        self._let_through.set()
        self._let_through = asyncio.Event()

    async def close(self) -> None:
        """Give up what was to be forwarded later."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _act_on(self, request: web.BaseRequest, body: bytes) -> Act | None:
        query = request.rel_url.raw_query_string
        if request.content_type == FORM:
            query = f"{query}&{body.decode(errors='replace')}"
        return self._decide(Call(request.method, request.rel_url.raw_path, query))

    async def _obey(
        self, act: Act | None, request: web.BaseRequest, body: bytes, exchange: Exchange
    ) -> web.StreamResponse:
        exchange.fault = "" if act is None else repr(act)
        let_through = self._let_through
        if isinstance(act, Status):
            self._recorder.record(_attempt(request, body, exchange, forwarded=False, code=act.code))
            return await _answer(request, exchange, act)
        if isinstance(act, Drop):
            self._recorder.record(_attempt(request, body, exchange, forwarded=False))
            await asyncio.sleep(act.seconds)
            raise Broken
        if isinstance(act, CutThenApply):
            self._forward_later(request, body, exchange, let_through, act.seconds)
            raise Broken
        if isinstance(act, Delay):
            await _first(let_through, act.seconds)
        url = _stale(request.rel_url, act) if isinstance(act, StaleList) else request.rel_url
        if not may_write(request.method, request.content_type):
            return await self._read(url, request, body, exchange, act, let_through)
        upstream, answer = await self._write(url, request, body, exchange)
        if isinstance(act, LateAnswer):
            await _first(let_through, act.seconds)
        return await _pass_on(request, exchange, upstream, _once(answer), act)

    async def _read(
        self,
        url: URL,
        request: web.BaseRequest,
        body: bytes,
        exchange: Exchange,
        act: Act | None,
        let_through: asyncio.Event,
    ) -> web.StreamResponse:
        async with self._ask(url, request, body, plain=act is not None) as upstream:
            if isinstance(act, LateAnswer):
                await _first(let_through, act.seconds)
            return await _pass_on(request, exchange, upstream, _stream(upstream), act)

    async def _write(
        self, url: URL, request: web.BaseRequest, body: bytes, exchange: Exchange
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """Forward a write and record it before its sender learns the outcome.

        Whoever asks the recorder right after a write of theirs therefore finds it there.
        """
        attempt = _attempt(request, body, exchange, forwarded=True)
        try:
            async with self._ask(url, request, body, plain=True) as upstream:
                answer = await upstream.read()
                attempt = replace(attempt, code=upstream.status, answer=answer)
                return upstream, answer
        finally:
            self._recorder.record(attempt)

    def _ask(
        self, url: URL, request: web.BaseRequest, body: bytes, *, plain: bool
    ) -> aiohttp.client._RequestContextManager:
        """Send the request upstream; `plain` asks for an answer that is not compressed."""
        headers = _end_to_end(request.headers)
        headers.popall("Host", None)
        headers.popall("Content-Length", None)
        if plain:
            headers["Accept-Encoding"] = "identity"
        return self._session.request(
            request.method,
            URL(self._upstream + str(url), encoded=True),
            headers=headers,
            data=io.BytesIO(body) if body else None,
            allow_redirects=False,
            skip_auto_headers=_SET_BY_CLIENT_LIBRARY,
        )

    def _forward_later(
        self,
        request: web.BaseRequest,
        body: bytes,
        exchange: Exchange,
        let_through: asyncio.Event,
        seconds: float,
    ) -> None:
        async def forward() -> None:
            await _first(let_through, seconds)
            with suppress(aiohttp.ClientError, OSError):
                await self._write(request.rel_url, request, body, exchange)

        if may_write(request.method, request.content_type):
            task = asyncio.get_running_loop().create_task(forward())
            self._late.add(task)
            task.add_done_callback(self._late.discard)


async def _first(event: asyncio.Event, seconds: float) -> None:
    """Whichever comes first."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


async def _answer(request: web.BaseRequest, exchange: Exchange, act: Status) -> web.StreamResponse:
    body = act.body.encode()
    response = web.Response(status=act.code, headers=CIMultiDict(act.headers), body=body)
    exchange.status, exchange.size = act.code, len(body)
    await response.prepare(request)
    return response


async def _pass_on(
    request: web.BaseRequest,
    exchange: Exchange,
    upstream: aiohttp.ClientResponse,
    chunks: Chunks,
    act: Act | None,
) -> web.StreamResponse:
    """Send the client what the upstream server answered, each piece as soon as it is there."""
    if isinstance(act, ApplyThenCut):
        raise Broken
    headers = _end_to_end(upstream.headers)
    if isinstance(act, BodyAct):
        chunks = spoiled(chunks, act)
        if changes_length(act):
            headers.popall("Content-Length", None)
        if isinstance(act, ReplaceBody):
            headers["Content-Type"] = act.content_type
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason, headers=headers)
    await response.prepare(request)
    exchange.status = upstream.status
    async with aclosing(chunks):
        async for chunk in chunks:
            if chunk:
                await response.write(chunk)
                exchange.size += len(chunk)
    await response.write_eof()
    return response


def _close(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection; the response returned reaches nobody, the server just wants one."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _once(body: bytes) -> Chunks:
    yield body


async def _stream(upstream: aiohttp.ClientResponse) -> Chunks:
    async for chunk in upstream.content.iter_any():
        yield chunk


def _exchange(request: web.BaseRequest) -> Exchange:
    return Exchange(
        at=datetime.now(UTC),
        method=request.method,
        path=request.rel_url.raw_path,
        query=request.rel_url.raw_query_string,
        user_agent=request.headers.get("User-Agent", ""),
    )


def _attempt(
    request: web.BaseRequest,
    body: bytes,
    exchange: Exchange,
    *,
    forwarded: bool,
    code: int | None = None,
) -> Attempt:
    return Attempt(
        at=exchange.at,
        method=exchange.method,
        path=exchange.path,
        query=exchange.query,
        content_type=request.content_type,
        user_agent=exchange.user_agent,
        body=body,
        forwarded=forwarded,
        code=code,
        fault=exchange.fault,
    )


def _end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """The headers that concern both ends; the others are about one connection alone."""
    kept = CIMultiDict(headers)
    for name in _OF_ONE_CONNECTION:
        kept.popall(name, None)
    return kept


def _stale(url: URL, act: StaleList) -> URL:
    """Ask the real server for the past. Later pages of a list carry their version in a token."""
    query = dict(parse_qsl(url.raw_query_string))
    if "continue" in query or "watch" in query:
        return url
    query |= {"resourceVersion": act.resource_version, "resourceVersionMatch": "Exact"}
    return URL(f"{url.raw_path}?{urlencode(query)}", encoded=True)
