"""Builds the PromQL that counts events: exactly, for a bucket that is closed once, or by increase.

`increase` estimates: it extrapolates what it saw to the queried length, and leaves out the first
value of every series. Over a month of buckets the errors do not cancel out: with events so rare
that their counter starts with the first one, 22% of them are lost. `exact_increase` takes
differences of last known values instead, so that the buckets of a series add up to its last value,
to the integer.

All texts here are expressions of one number for each group, or nothing. Samples are counted for a
scrape every 15 s. What samples cannot show (events between a pod's last scrape and its end) is not
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from penstock.domain.quantities import Duration

NEAR = Duration.of_seconds(120)
"""How long before a boundary a sample still counts as its value there: a failed scrape or two."""

SLOW_START = Duration.of_seconds(60)
"""How long a process may run before it is found and first scraped."""

GRID = Duration.of_seconds(15)
"""How often a probe is evaluated."""

SHORT = Duration.of_seconds(300)
"""In a bucket up to this length, each step of the grid is evaluated."""

FEW = 10
"""Events that may be counted twice when nothing distinguishes a new series from a returning one."""

SelectorFn = Callable[[str, str], str]
"""Builds ``function(selector[range] offset ...)`` from a function and from the text behind the
selector, if any. The series to count may be of one selector, or of several that a label
distinguishes."""

Restarts = Callable[[SelectorFn, str], str]
"""Selects the series that restarted in a range."""

Growth = Callable[[SelectorFn, str], str]
"""Computes how much each series has grown in a range, whatever came before it."""


def restarts_by_resets(read: SelectorFn, span: str) -> str:
    """Counters that restarted, as the server itself counts restarts."""
    return f"{read('resets', span)} > 0"


def restarts_by_drop(read: SelectorFn, span: str) -> str:
    """Counters that restarted, on a server that counts none: they are lower than they were.

    Thanos corrects counters before resets() sees them, as if they had changed from one replica to
    another. A counter that grew past its old value is missed. Costs 20 samples more per series
    for 5m.
    """
    return f"{read('max_over_time', span)} > {read('last_over_time', span)}"


def increase(read: SelectorFn, span: str) -> str:
    """The increase, as the server itself computes it."""
    return read("increase", span)


def at_least_its_last(read: SelectorFn, span: str) -> str:
    """The increase, on a server that overlooks some restarts: at least the last value counts.

    VictoriaMetrics takes a counter that falls from 30 to 29 for a corrected one, which has not
    grown: here these are 29 events. Costs 40 samples more per series for 5m.
    """
    last, grown = read("last_over_time", span), read("increase", span)
    return f"({last} > {grown}) and {read('resets', span)} > 0 or {grown}"


def plain_increase(selector: str, by: Sequence[str], length: Duration) -> str:
    """Events of the last ``length``, as Prometheus estimates them; 20 samples a series for 5m.

    >>> plain_increase("m", ["code"], Duration.parse("5m"))
    'sum by (code) (increase(m[300s]))'
    """
    return _sum(by, f"increase({selector}[{promql_duration(length)}])")


def exact_increase(
    read: SelectorFn,
    by: Sequence[str],
    length: Duration,
    back: Duration,
    *,
    unseen: Duration = SLOW_START,
    thorough: bool = False,
    restarts: Restarts = restarts_by_resets,
    growth: Growth = increase,
) -> str:
    """Events of the bucket of ``length`` that ends at the evaluation time, looking back ``back``.

    This is the last value in the bucket minus the *base*. The base is the first of these that
    exists:

    1. The last value before the bucket, however long ago within ``back``, unless a lower one came
       after it. From 1,000 to 1,400: 400 events, whatever happened between the scrapes on both
       sides of the boundary, and however many of them failed.
    2. 0 for a series that is known to have begun since. A witness of the same target (by ``job``
       and ``instance``) existed just before the boundary and exists now: this series itself, which
       was reset, or another one, so that this one did not exist yet. Or ``up`` shows it. Or the
       process has been running no longer than the bucket and ``unseen``. From 1,000 to 30: 30. The
       first error ever: 1. A pod that was seen in a single scrape with 200 errors: 200. A target
       whose labels have changed is not a witness: its series only look new. (Read by `abs`, since
       timestamp() of VictoriaMetrics still sees a series that has ended.)
    3. 0 if no ``process_start_time_seconds`` says how old the process is (OTLP, push gateway,
       recorded series), and the series, at the rate of the bucket, is younger than bucket and
       ``back``, so that it would have been seen; or has no more than ten events. L <= 13
       (L - first) + 10 for 5m and 1h: from 40 to 400 is new, from 1,000,000 to 1,000,180 is not,
       nor is a counter of 40 that came back and stays.

    A series without a base, because nothing shows that it is new, and one that restarted within
    the bucket are counted by ``growth``: an old counter must never be counted as a whole.
    1,000,000 to 1,000,180 in the second half of the bucket is 200.7 events. That is right only on
    average. So the last read of a bucket (``thorough``) computes a series that restarted in it
    once from its peak (:func:`_by_peak`), and the rest by :func:`_by_steps` if the bucket is short:
    the same counter then has 190 events.

    Only samples decide between 2 and 3, series by series, so the query is the same for data with
    and without ``up``. If no scrape was answered in the two minutes before the bucket, this is
    missed: the first value of what began or was reset before that; and without ``up``, that of a
    new target, if it is over ten and the only one in the bucket.

    The base needs the whole of ``back`` for each series once, so a close of 5m costs 389 samples a
    series with a ``back`` of 1h and 169 with 5m (97 more if it is thorough), and 31 a target of the
    whole server for ``up`` and ``process_start_time_seconds``. That is why one request should query
    many selectors by one expression, with a `read` of its own, rather than by a chain.

    Measured over a month: Prometheus' own `increase` lost 22% of the errors of services that
    seldom fail, ``m - m offset 5m or m`` counted 28% too many where scrapes had outages.
    """
    bucket = f"[{promql_duration(length)}]"
    before = f"offset {promql_duration(length)}"
    near = f"[{promql_duration(NEAR)}] {before}"
    last, least = read("last_over_time", bucket), read("min_over_time", bucket)
    earlier = read("last_over_time", f"[{promql_duration(back)}] {before}")
    young = seconds(_sum_of(length, unseen))
    target = "on (job, instance)"
    sees_one = thorough and restarts is restarts_by_resets
    is_stepped = sees_one and growth is increase and length <= SHORT
    return _sum(
        by,
        f"""
  ({last} unless {restarts(read, bucket)}) - (
    ({earlier} <= {least})
    or 0 * {least} and {target} (
      ({read("last_over_time", near)} and {read("abs", "")})
      or (max_over_time(up{near}) == 1) unless {target} (up unless up {before})
      or time() - last_over_time(process_start_time_seconds{bucket}) < {young}
    )
    or 0 * (
      {seconds(_sum_of(length, back))} * {least}
        <= {seconds(back)} * {last} + {FEW} * {seconds(length)}
    ) unless {target} process_start_time_seconds
  )
  {f"or {_by_peak(read, length)}" if sees_one else ""}
  or {_by_steps(read, length) if is_stepped else growth(read, bucket)}
""",
    )


def reading(selector: str) -> SelectorFn:
    """Reads the series of one selector.

    >>> reading("m")("resets", "[300s]")
    'resets(m[300s])'
    """
    return lambda function, span: f"{function}({selector}{span})"


def native_count(selector: str, by: Sequence[str], length: Duration) -> str:
    """All events of a native histogram in the last ``length``."""
    return f"histogram_count({plain_increase(selector, by, length)})"


def native_fraction(selector: str, by: Sequence[str], length: Duration, threshold: Duration) -> str:
    """The share of a native histogram's events that took no longer than ``threshold``.

    NaN without events. It is exact for a threshold on a bucket boundary. Between boundaries it is
    interpolated, 0.01 points off at schema 3 and finer. It does not multiply by the events: a
    native histogram costs 24 times the samples of a classic pair, and would be read once more.
    """
    events = plain_increase(selector, by, length)
    return f"histogram_fraction(0, {seconds(threshold)}, {events})"


def probe_good(selector: str, by: Sequence[str], length: Duration) -> str:
    """Seconds of the last ``length`` in which a probe was 1, summed over its targets.

    Of two targets that were up all 5 minutes and one that was up for 3 of them: 780. No row if
    there was no target at all; that is 0 as long as :func:`probe_total` has one.
    """
    up = f"sum_over_time(({selector} == bool 1){_grid(length)})"
    return f"{seconds(GRID)} * {_sum(by, up)}"


def probe_total(selector: str, by: Sequence[str], length: Duration, back: Duration) -> str:
    """Seconds of the last ``length``, for each target that was seen in ``back`` before it.

    So a target that disappeared is still expected, and counts as bad until ``back`` no longer
    reaches it. A new target counts from its first sample. Three targets in 5 minutes: 900; one of
    them new for a minute: 660.
    """
    seen = (
        f"present_over_time({selector}[{promql_duration(back)}] offset {promql_duration(length)})"
    )
    points = f"count_over_time(vector(1){_grid(length)})"
    since = f"count_over_time({selector}{_grid(length)})"
    return f"{seconds(GRID)} * {_sum(by, f'{seen} * on () group_left () {points} or {since}')}"


def probe_strays(selector: str, by: Sequence[str], length: Duration) -> str:
    """How often a probe was neither 0 nor 1 in the last ``length``; no row if it never was."""
    return _sum(by, f"count_over_time(({selector} != 0 != 1){_grid(length)})")


def promql_duration(duration: Duration) -> str:
    """A range as every version of Prometheus parses it.

    >>> promql_duration(Duration.parse("5m")), promql_duration(Duration.parse("1s500ms"))
    ('300s', '1500ms')
    """
    whole, rest = divmod(duration.milliseconds, 1_000)
    return f"{duration.milliseconds}ms" if rest else f"{whole}s"


def seconds(duration: Duration) -> str:
    """A duration as a number in PromQL.

    >>> seconds(Duration.parse("5m")), seconds(Duration.parse("1s500ms"))
    ('300', '1.5')
    """
    return f"{duration.seconds:f}"


def _grid(length: Duration) -> str:
    """Points every 15 s in the last ``length``, without the one at its very beginning.

    That point belongs to the range before. Prometheus 2 would include it, hence the millisecond.
    """
    return f"[{promql_duration(Duration(length.milliseconds - 1))}:{promql_duration(GRID)}]"


def _by_peak(read: SelectorFn, length: Duration) -> str:
    """Events of each series that restarted once, in the bucket, and is lower than before.

    1,000 before the bucket, 1,150 when it crashed, 80 at the end: 150 and 80 are 230. Increase
    extrapolates what was seen in the bucket to both its boundaries, which is right only on
    average: with a crash every 5 h, up to 0.2% of a month's errors were missing or too many. A
    restart at the boundary itself must not be missed, so they are counted from
    ``NEAR`` before it.

    Not for a server that does not count restarts (`restarts_by_drop`).
    """
    bucket = f"[{promql_duration(length)}]"
    last, most = read("last_over_time", bucket), read("max_over_time", bucket)
    stood = read("last_over_time", f"[{promql_duration(NEAR)}] offset {promql_duration(length)}")
    restarts = read("resets", f"[{promql_duration(_sum_of(length, NEAR))}]")
    return f"({last} < {most}) + {most} - {stood} and {restarts} == 1"


def _by_steps(read: SelectorFn, length: Duration) -> str:
    """Growth seen every 15 s, from the value at the boundary: nothing has to be extrapolated.

    This works however often the series restarted. The range is a millisecond longer, so that it
    includes the point at the boundary; the rate instead of the growth makes that irrelevant (3
    millionths less for a series that was 0). Rounded, since the last digits are not exact. Only
    for short buckets: the server holds all points at once. With more frequent scrapes it misses
    the last ones before a restart, hence :func:`_by_peak` comes first.
    """
    span = f"[{promql_duration(Duration(length.milliseconds + 1))}:{promql_duration(GRID)}]"
    return f"round({seconds(length)} * {read('rate', span)}, 0.000001)"


def _sum(by: Sequence[str], expression: str) -> str:
    return f"sum by ({', '.join(by)}) ({expression})"


def _sum_of(duration: Duration, other: Duration) -> Duration:
    return Duration(duration.milliseconds + other.milliseconds)
