"""The client of one metrics source: timeouts, limits, circuit breaker, clock, metrics.

The caller decides what to query; the client decides whether, how often and how many at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from penstock.adapters.backpressure import AdaptiveLimiter, CircuitBreaker, OverloadDetector
from penstock.adapters.cancellable_requests import RequestThreads, ThreadsExhausted
from penstock.adapters.clock_skew import EVERY, TOLERANCE, ClockCheck, skew
from penstock.adapters.credentials import Credentials
from penstock.adapters.http_errors import unreachable
from penstock.adapters.prometheus_response import (
    Body,
    CircuitOpen,
    HttpResponse,
    Matrix,
    QueryError,
    QueryOutcome,
    T,
    Vector,
    as_matrix,
    as_vector,
    excerpt,
    read,
)
from penstock.adapters.prometheus_session import PrometheusSession
from penstock.adapters.redaction import Redactor
from penstock.domain.evidence import Evidence
from penstock.domain.metrics_source import Dialect, MetricsSource
from penstock.domain.source_status import SourceHealth, SourceReason
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import Clock, MetricsRecorder

log = logging.getLogger(__name__)

AT_ONCE = 4
THREADS = 2 * AT_ONCE
PAUSE = 0.2
OVERLOADED_DETAIL = "it has had too much to do, so SLOs at rest are asked half as often"
# What every server can answer, with its own time; without vector() some return a scalar, others a
# vector.
TRIAL = "vector(time())"

_REASONS = {
    QueryOutcome.PARTIAL: SourceReason.PARTIAL,
    QueryOutcome.UNAUTHORIZED: SourceReason.UNAUTHORIZED,
    QueryOutcome.MALFORMED: SourceReason.MALFORMED,
    QueryOutcome.SKEWED: SourceReason.CLOCK_SKEW,
}


@dataclass(frozen=True)
class _Wanted(Generic[T]):
    """One request: its endpoint, its form, and the shape of its answer."""

    endpoint: str
    form: Mapping[str, str]
    shape: Callable[[Body], T]


class SourceClient:
    """Queries one source, a few requests at a time, and remembers whether it answers."""

    def __init__(
        self,
        source: MetricsSource,
        credentials: Credentials,
        clock: Clock,
        metrics: MetricsRecorder,
        everywhere: asyncio.Semaphore,
        refused: Callable[[], None],
    ) -> None:
        """``refused`` is called when the source rejects our credentials.

        Raises:
            CredentialsUnavailable: certificates or keys cannot be used.
            ValueError: the address is not valid.
        """
        self.source, self.credentials = source, credentials
        self.used_at = clock.monotonic()
        self._clock, self._metrics, self._refused = clock, metrics, refused
        open_headers = (h.value for h in source.headers if isinstance(h.value, str))
        self._redactor = Redactor((*credentials.confidential(), *open_headers))
        self._session = PrometheusSession(
            source, credentials, THREADS, clock.monotonic, self._redactor
        )
        self._threads = RequestThreads(THREADS)
        self._limiter, self._everywhere = AdaptiveLimiter(AT_ONCE), everywhere
        self._seconds = float(source.timeout.seconds)
        self._breaker, self._trial = CircuitBreaker(), asyncio.Lock()
        self._overload_detector = OverloadDetector()
        self._check = ClockCheck()
        self._last: QueryError | None = None
        self._wrong: QueryError | None = None
        self._answered: tuple[float, datetime] | None = None

    def close(self) -> None:
        """Close idle connections; requests in progress end normally."""
        self._session.close()

    async def ask(self, query: str, at: datetime) -> Vector:
        """An instant query, sent once, and once more within the timeout if that may help.

        Raises:
            QueryError: there is no vector.
        """
        return await self._ask(_Wanted("query", {"query": query, "time": _seconds(at)}, as_vector))

    async def ask_range(self, query: str, start: datetime, end: datetime, step: float) -> Matrix:
        """A range query with a step in seconds; otherwise as ``ask``."""
        form = {"query": query, "start": _seconds(start), "end": _seconds(end)}
        return await self._ask(_Wanted("query_range", {**form, "step": f"{step:g}"}, as_matrix))

    async def unavailable_reason(self, every: float = EVERY) -> Evidence | None:
        """Why the source cannot be queried now, if so.

        A trial finds out at first, after a pause of the circuit breaker, and periodically.
        """
        async with self._trial:
            now = self._clock.monotonic()
            may_try = self._breaker.may_try(now)
            if self._breaker.is_open and not may_try and self._last is not None:
                return self.as_evidence(self._last)
            if may_try or self._check.is_due(now, self._clock.now().timestamp(), every):
                try:
                    await self.probe()
                except QueryError as failed:
                    return self.as_evidence(failed)
            return None if self._check.agrees else self.as_evidence(self._skewed())

    async def probe(self) -> None:
        """Send a query that every server can answer, and compare its clock with ours.

        Raises:
            QueryError: this server cannot, so nothing is wrong with any particular query.
        """
        now = self._clock.monotonic()
        if self._last and self._breaker.is_open and not self._breaker.may_try(now):
            raise CircuitOpen(self._last)
        sent = self._clock.now().timestamp()
        try:
            vector = await self._ask(_Wanted("query", {"query": TRIAL}, as_vector), trial=True)
            received, theirs = self._clock.now().timestamp(), _number(vector)
        except QueryError as failed:
            if failed.outcome is not QueryOutcome.REJECTED:
                raise
            worse = QueryError(QueryOutcome.MALFORMED, f"it rejects even {TRIAL}; {failed.detail}")
            self._note(worse, at_once=True)
            raise worse from failed
        self._check.compared(self._clock.monotonic(), received, skew(sent, received, theirs))
        self._wrong = None if self._check.agrees else self._skewed()
        if self._wrong is not None:
            raise self._wrong

    def as_evidence(self, failed: QueryError) -> Evidence:
        """A failure as evidence, with the server's name and redacted."""
        parts = urlsplit(self.source.url)
        detail = self._redactor.redact(f"{parts.hostname}: {failed.detail}")
        return Evidence(failed.kind, excerpt(detail, 400))

    @property
    def health(self) -> SourceHealth:
        """Its health when it was last queried."""
        answered = self._answered[1] if self._answered else None
        reason, detail = SourceReason.CONNECTED, ""
        if self._wrong is not None:
            reason = _REASONS.get(self._wrong.outcome, SourceReason.UNREACHABLE)
            detail = self.as_evidence(self._wrong).detail
        if self.is_overloaded:
            detail = f"{detail or 'it answers again'}; {OVERLOADED_DETAIL}"
        return SourceHealth(reason, detail, answered)

    @property
    def is_overloaded(self) -> bool:
        """Whether it has recently reported overload."""
        return self._overload_detector.is_overloaded(self._clock.monotonic())

    def was_asked_within(self, seconds: float) -> bool:
        """Whether it answered lately, or is known not to answer."""
        now = self._clock.monotonic()
        if self._breaker.is_open and not self._breaker.may_try(now):
            return True
        return self._answered is not None and now - self._answered[0] < seconds

    async def _ask(self, wanted: _Wanted[T], *, trial: bool = False) -> T:
        try:
            return await self._with_retry(wanted, trial=trial)
        except CircuitOpen:
            raise
        except QueryError as failed:
            if failed.outcome is not QueryOutcome.REJECTED:
                self._wrong = failed
            if failed.outcome is QueryOutcome.UNAUTHORIZED:
                self._refused()
            raise

    async def _with_retry(self, wanted: _Wanted[T], *, trial: bool) -> T:
        async with self._limiter, self._everywhere:
            if self._breaker.is_open and self._last is not None and not trial:
                raise CircuitOpen(self._last)
            ends = self._clock.monotonic() + self._seconds
            try:
                return await self._without_retry(wanted, self._seconds)
            except QueryError as failed:
                left = ends - self._clock.monotonic() - PAUSE
                if not failed.is_passing or left < self._seconds / 2 or self._breaker.is_open:
                    raise
            await asyncio.sleep(PAUSE)
            return await self._without_retry(wanted, left)

    async def _without_retry(self, wanted: _Wanted[T], seconds: float) -> T:
        try:
            found = await self._sent(wanted, seconds)
        except QueryError as failed:
            self._metrics.count(CounterName.SOURCE_REQUESTS, outcome=failed.outcome)
            self._note(failed)
            raise
        outcome = QueryOutcome.PARTIAL if found.warnings else QueryOutcome.ANSWERED
        self._metrics.count(CounterName.SOURCE_REQUESTS, outcome=outcome)
        self._metrics.count(CounterName.SOURCE_SAMPLES, found.samples)
        self._recovered()
        return found

    async def _sent(self, wanted: _Wanted[T], seconds: float) -> T:
        limit = f"{seconds:.3g} s"
        try:
            answer = await self._threads.run(
                lambda: self._session.ask(wanted.endpoint, wanted.form, seconds), seconds
            )
        except TimeoutError as error:
            raise QueryError(QueryOutcome.TIMEOUT, f"timed out after {limit}") from error
        except ThreadsExhausted as error:
            raise QueryError(QueryOutcome.TIMEOUT, "all request threads are still busy") from error
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise unreachable(error, self._session.proxy) from error
        return self._understood(wanted, answer)

    def _understood(self, wanted: _Wanted[T], response: HttpResponse) -> T:
        try:
            return read(wanted.shape, response, self._clock.now(), self._redactor.redact)
        except QueryError as failed:
            if failed.outcome is QueryOutcome.MALFORMED and self._last is None:
                length = len(response.body)
                log.info("%s answered %s with %s bytes", self.source.ref, response.status, length)
            raise

    def _note(self, failed: QueryError, *, at_once: bool = False) -> None:
        if failed.outcome is QueryOutcome.REJECTED:
            if not self._breaker.is_open:  # it is alive, unless it rejects everything
                self._recovered()
            return
        if failed.too_much:
            self._limiter.slow_down()
            if (
                failed.outcome is not QueryOutcome.OVERLOADED
            ):  # caused by one query: that says nothing about others
                self._overload_detector.record_refusal()
        if self._last is None:
            log.warning("%s fails: %s", self.source.ref, self.as_evidence(failed).detail)
        self._last = failed
        self._breaker.failed(
            self._clock.monotonic(),
            at_once=at_once or failed.outcome is QueryOutcome.TIMEOUT,
            asked=failed.retry_after,
        )

    def _recovered(self) -> None:
        if self._last is not None:
            log.info("%s answers again", self.source.ref)
        self._last = None
        if self._check.agrees:
            self._wrong = None
        self._answered = self._clock.monotonic(), self._clock.now()
        self._overload_detector.record_answer(self._answered[0])
        self._breaker.succeeded()
        self._limiter.answered()

    def _skewed(self) -> QueryError:
        ahead = self._check.skew
        way = "ahead of" if ahead > 0 else "behind"
        message = (
            f"its clock is {abs(ahead):.0f} s {way} ours, more than {TOLERANCE:.0f} s; mend the "
            "time of the server, or of the node where Penstock runs"
        )
        if ahead < 0 and self.source.dialect is not Dialect.VICTORIA_METRICS:
            # Queried like Prometheus, it answers as of half a minute ago.
            message += "; of VictoriaMetrics say so in spec.dialect"
        return QueryError(QueryOutcome.SKEWED, message)


def _seconds(at: datetime) -> str:
    return f"{at.timestamp():.3f}"


def _number(vector: Vector) -> float:
    try:
        ((_, text),) = vector.rows
        return float(text)
    except ValueError:
        raise QueryError(QueryOutcome.MALFORMED, f"its answer to {TRIAL} is not a number") from None
