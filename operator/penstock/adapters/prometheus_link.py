"""One metrics source as it is reached: connection, time limits, circuit, counts.

prometheus-api-client gives address, headers, session and authentication. Its own query methods are
not used: they drop warnings, put a POST's query into the address, and repeat behind our back.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from penstock import __version__
from penstock.adapters.circuit import Circuit
from penstock.adapters.crew import Crew, CuttableAdapter, Overrun
from penstock.adapters.prometheus_answer import Failed, NotAsked, Outcome, Vector, excerpt, read
from penstock.domain.evidence import Evidence
from penstock.domain.source import Source
from penstock.engine.ports import Clock, Tally

log = logging.getLogger(__name__)

AT_ONCE = 2
THREADS = 2 * AT_ONCE
LONGEST_CONNECT = 2.0
LARGEST_ANSWER = 4 << 20
PAUSE = 0.2
TRIAL = "vector(1)"
_CHUNK = 1 << 16


class _NoAuth(AuthBase):
    """Says nothing; without it `requests` would look for a password in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Connection(PrometheusConnect):  # type: ignore[misc]
    """prometheus-api-client with a query method of our own. Blocking: for a crew's threads."""

    def __init__(self, source: Source) -> None:
        session = requests.Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        url = source.url.rstrip("/")
        super().__init__(url, session=session, auth=_NoAuth(), headers=_headers(source))
        session.mount(url, CuttableAdapter(THREADS))  # in place of the library's, which repeats

    def ask(self, query: str, at: datetime, seconds: float) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the server is told to give up a little before we do."""
        limit = seconds - min(1.0, seconds / 4)
        form = {
            "query": query,
            "time": f"{at.timestamp():.3f}",
            "timeout": f"{int(limit * 1000)}ms",
            "stats": "true",
        }
        with self._session.post(
            f"{self.url}/api/v1/query",
            data=form,
            headers=self.headers,
            auth=self.auth,
            timeout=(min(LONGEST_CONNECT, seconds), seconds + 1),
            stream=True,
            allow_redirects=False,
        ) as response:
            return response.status_code, dict(response.headers), _body(response)


def _headers(source: Source) -> dict[str, str]:
    own = {
        "User-Agent": f"penstock/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    given = {
        header.name: header.value
        for header in source.headers
        if isinstance(header.value, str) and header.name.title() not in own
    }
    return {**given, **own}


def _body(response: requests.Response) -> bytes:
    body = bytearray()
    try:
        while chunk := response.raw.read(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                limit = f"{LARGEST_ANSWER >> 20} MiB"
                raise Failed(Outcome.MALFORMED, f"the answer is longer than {limit}")
    except HTTPError as error:
        raise Failed(Outcome.MALFORMED, "the answer ends before it is complete") from error
    return bytes(body)


class Link:
    """Asks one source, a few requests at a time, and remembers whether it is worth it."""

    def __init__(
        self, source: Source, clock: Clock, tally: Tally, everywhere: asyncio.Semaphore
    ) -> None:
        self.source = source
        self.used_at = clock.monotonic()
        self._clock, self._tally = clock, tally
        self._connection = Connection(source)
        self._crew = Crew(THREADS)
        self._slots, self._everywhere = asyncio.Semaphore(AT_ONCE), everywhere
        self._seconds = float(source.timeout.seconds)
        self._circuit, self._trial = Circuit(), asyncio.Lock()
        self._last: Failed | None = None

    def close(self) -> None:
        """Close idle connections; requests under way end as they would have."""
        self._connection.close()

    async def ask(self, query: str, at: datetime) -> Vector:
        """Ask once, and once more within the time limit if that failed by what may pass.

        Raises:
            Failed: there is no vector.
        """
        async with self._slots, self._everywhere:
            if self._circuit.is_open and self._last is not None:
                raise NotAsked(self._last)
            ends = self._clock.monotonic() + self._seconds
            try:
                return await self._once(query, at, self._seconds)
            except Failed as failed:
                left = ends - self._clock.monotonic() - PAUSE
                if not failed.is_passing or left < self._seconds / 2 or self._circuit.is_open:
                    raise
            await asyncio.sleep(PAUSE)
            return await self._once(query, at, left)

    async def refusal(self, at: datetime) -> Evidence | None:
        """Why the source is not worth asking now; a trial finds out when a break is over."""
        async with self._trial:
            if self._may_try():
                try:
                    await self.understands(at)
                except Failed as failed:
                    return self.told(failed)
            if self._circuit.is_open and self._last is not None:
                return self.told(self._last)
            return None

    async def understands(self, at: datetime) -> None:
        """Ask what every Prometheus can answer.

        Raises:
            Failed: this one does not, so nothing is wrong with any particular query.
        """
        if self._last and self._circuit.is_open and not self._may_try():
            raise NotAsked(self._last)
        try:
            await self._once(TRIAL, at, self._seconds)
        except Failed as failed:
            if failed.outcome is not Outcome.REJECTED:
                raise
            worse = Failed(Outcome.MALFORMED, f"it refuses even {TRIAL}; {failed.detail}")
            self._note(worse, at_once=True)
            raise worse from failed

    def told(self, failed: Failed) -> Evidence:
        """A failure as evidence, with the server's name and without what is confidential."""
        parts = urlsplit(self.source.url)
        return Evidence(failed.kind, self._discreet(f"{parts.hostname}: {failed.detail}"))

    def _may_try(self) -> bool:
        return self._circuit.may_try(self._clock.monotonic())

    async def _once(self, query: str, at: datetime, seconds: float) -> Vector:
        try:
            vector = await self._sent(query, at, seconds)
        except Failed as failed:
            self._tally.count("penstock_source_requests_total", outcome=failed.outcome)
            self._note(failed)
            raise
        outcome = Outcome.PARTIAL if vector.warnings else Outcome.ANSWERED
        self._tally.count("penstock_source_requests_total", outcome=outcome)
        self._tally.count("penstock_source_samples_total", vector.samples)
        self._recovered()
        return vector

    async def _sent(self, query: str, at: datetime, seconds: float) -> Vector:
        limit = f"{seconds:.3g} s"
        try:
            answer = await self._crew.run(lambda: self._connection.ask(query, at, seconds), seconds)
        except TimeoutError as error:
            raise Failed(Outcome.TIMEOUT, f"no whole answer within {limit}") from error
        except Overrun as error:
            raise Failed(Outcome.TIMEOUT, "earlier requests still hang") from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise _unreachable(error) from error
        return self._understood(*answer)

    def _understood(self, status: int, headers: dict[str, str], body: bytes) -> Vector:
        try:
            return read(status, headers, body, self._clock.now())
        except Failed as failed:
            if failed.outcome is Outcome.MALFORMED and self._last is None:
                begin = excerpt(body[:1_024].decode(errors="replace"))
                log.info("%s answered: %s", self.source.ref, self._discreet(begin))
            raise

    def _note(self, failed: Failed, *, at_once: bool = False) -> None:
        if failed.outcome is Outcome.REJECTED:
            if not self._circuit.is_open:  # it lives, unless it refuses everything
                self._recovered()
            return
        if self._last is None:
            log.warning("%s fails: %s", self.source.ref, self.told(failed).detail)
        self._last = failed
        self._circuit.failed(
            self._clock.monotonic(),
            at_once=at_once or failed.outcome is Outcome.TIMEOUT,
            asked=failed.retry_after,
        )

    def _recovered(self) -> None:
        if self._last is not None:
            log.info("%s answers again", self.source.ref)
        self._last = None
        self._circuit.succeeded()

    def _discreet(self, text: str) -> str:
        parts = urlsplit(self.source.url)
        values = [h.value for h in self.source.headers if isinstance(h.value, str)]
        for secret in (*values, parts.password or "", parts.username or ""):
            if len(secret) > 3:
                text = text.replace(secret, "...")
        return excerpt(text, 400)


def _unreachable(error: BaseException) -> Failed:
    """A failure of the network in our own words: those of the libraries are long and vary."""
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return Failed(Outcome.UNREACHABLE, "the name does not resolve")
            case ConnectionRefusedError():
                return Failed(Outcome.UNREACHABLE, "the connection is refused")
            case ssl.SSLCertVerificationError():
                return Failed(Outcome.UNREACHABLE, f"TLS: {excerpt(cause.verify_message)}")
            case ssl.SSLError():
                return Failed(Outcome.UNREACHABLE, f"TLS: {excerpt(cause.reason or 'failed')}")
    if isinstance(error, requests.ConnectTimeout):
        return Failed(Outcome.UNREACHABLE, f"no connection within {LONGEST_CONNECT:g} s")
    if isinstance(error, requests.ConnectionError):
        return Failed(Outcome.UNREACHABLE, "the connection was closed without an answer")
    return Failed(Outcome.UNREACHABLE, f"it cannot be asked ({type(error).__name__})")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it; urllib3 keeps causes in ``args`` and ``reason`` too."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
