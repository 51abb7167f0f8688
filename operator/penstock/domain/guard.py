"""The policy that applies: what the author wrote, completed by defaults that suit the window.

Defaults: Google's SRE workbook, chapter 5, scaled to the window as Sloth (factors, from a week up)
and Pyrra (windows, below) do; see docs/adr and the worked numbers here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from penstock.domain.budget import highest_burn_rate
from penstock.domain.policy import BurnPair, Policy, UnknownPolicy, UnknownThen
from penstock.domain.quantities import Duration, Objective, Percentage

T = TypeVar("T")

WEEK = Duration.parse("7d")
HOUR = Duration.parse("1h")
CALM_SHORT, CALM_LONG = Duration.parse("5m"), Duration.parse("30m")
CALM_SHORT_BELOW, CALM_LONG_BELOW = Decimal(1), Decimal(2)
NO_TIME = Duration.of_seconds(0)
SHORTEST_LOOK = Duration.parse("15s")
MINIMUM_BAD_EVENTS = 5

HOLD_AT = Percentage.parse("0%")
WHILE_BURN_ABOVE = Decimal(1)
MARGIN = Percentage.parse("1%")
CALM = Duration.parse("10m")
OUTAGE = UnknownPolicy(Duration.parse("5m"), UnknownThen.HOLD)
THIN = UnknownPolicy(Duration.parse("0s"), UnknownThen.PERMIT)

# (share of the budget, long, short) at 30d: 2% in 1h is 14.4, 5% in 6h is 6.
_SHARES = (
    (Decimal("0.02"), Duration.parse("1h"), Duration.parse("5m")),
    (Decimal("0.05"), Duration.parse("6h"), Duration.parse("30m")),
)
# (factor, long and short as parts of the window) below a week: W/720 of 30d is 1h.
_PARTS = ((Decimal("14.4"), 720, 8_640), (Decimal(6), 120, 1_440))


@dataclass(frozen=True, slots=True)
class ActivePair:
    """A burn pair that applies, complete."""

    long: Duration
    short: Duration
    factor: Decimal
    minimum_bad_events: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """What one class of missing evidence means, complete."""

    keep_last: Duration
    then: UnknownThen


@dataclass(frozen=True, slots=True)
class Guard:
    """The policy that applies to one SLO of one Rollout, complete.

    Attributes:
        pairs: fastest first.
        dropped: default pairs that cannot serve this SLO: too few scrapes in the short look, or a
            factor that even a full outage does not reach.
        refused: pairs that the author wrote and that can never fire.
        errors_look: the burn window in which errors count as continuing.
        calm_looks: the two looks back that must be calm before a hold ends.
    """

    start_hold_at: Decimal
    in_flight_hold_at: Decimal
    while_burn_above: Decimal
    pairs: tuple[ActivePair, ...]
    dropped: tuple[ActivePair, ...]
    refused: tuple[ActivePair, ...]
    errors_look: Duration
    calm_looks: tuple[Duration, Duration]
    margin: Decimal
    calm: Duration
    outage: Unknown
    thin: Unknown

    @property
    def looks(self) -> frozenset[Duration]:
        """Every look back that a decision by this policy needs."""
        of_pairs = {look for pair in self.pairs for look in (pair.long, pair.short)}
        return frozenset({self.errors_look, *self.calm_looks, *of_pairs})


def guard(
    policy: Policy, objective: Objective, window: Duration, scrape: Duration = NO_TIME
) -> Guard:
    """Complete a policy for one SLO.

    Args:
        policy: what the author wrote.
        objective: the SLO's objective; it bounds what a pair can ever see.
        window: the SLO's window, at its present length.
        scrape: how often the metrics are taken; a default pair sees at least four scrapes.
    """
    pairs, dropped = _pairs(policy, objective, window, scrape)
    return Guard(
        start_hold_at=(policy.start.hold_at or HOLD_AT).ratio.value,
        in_flight_hold_at=(policy.in_flight.hold_at or HOLD_AT).ratio.value,
        while_burn_above=_or(policy.in_flight.while_burn_above, WHILE_BURN_ABOVE),
        pairs=pairs,
        dropped=dropped,
        refused=tuple(p for p in pairs if policy.burn is not None and never_fires(p, objective)),
        errors_look=_errors_look(policy, pairs, window),
        calm_looks=_calm_looks(policy, pairs, window),
        margin=(policy.resume.margin or MARGIN).ratio.value,
        calm=policy.resume.calm or CALM,
        outage=_unknown(policy.outage, OUTAGE),
        thin=_unknown(policy.thin, THIN),
    )


def never_fires(pair: ActivePair, objective: Objective) -> bool:
    """Whether even a full outage burns no faster: 14.4 never fires at 90%, which burns at 10."""
    return pair.factor >= highest_burn_rate(objective).value


def _pairs(
    policy: Policy, objective: Objective, window: Duration, scrape: Duration
) -> tuple[tuple[ActivePair, ...], tuple[ActivePair, ...]]:
    if policy.burn is not None:
        written = sorted(policy.burn, key=lambda pair: (pair.long, pair.short))
        return tuple(_active(pair) for pair in written), ()
    shortest = max(SHORTEST_LOOK, Duration(4 * scrape.milliseconds))
    kept: list[ActivePair] = []
    dropped: list[ActivePair] = []
    for pair in default_pairs(window):
        serves = pair.short >= shortest and not never_fires(pair, objective)
        (kept if serves else dropped).append(pair)
    return tuple(kept), tuple(dropped)


def default_pairs(window: Duration) -> tuple[ActivePair, ...]:
    """The workbook's two page pairs, scaled.

    30d: 1h/5m at 14.4 and 6h/30m at 6. 7d: the same looks at 3.36 and 1.4. 1d: 2m/10s at 14.4 and
    12m/1m at 6.
    """
    if window >= WEEK:
        return tuple(
            ActivePair(
                long,
                short,
                share * window.milliseconds / long.milliseconds,
                MINIMUM_BAD_EVENTS,
            )
            for share, long, short in _SHARES
        )
    return tuple(
        ActivePair(
            Duration(max(1, window.milliseconds // long_part)),
            Duration(max(1, window.milliseconds // short_part)),
            factor,
            MINIMUM_BAD_EVENTS,
        )
        for factor, long_part, short_part in _PARTS
    )


def _active(pair: BurnPair) -> ActivePair:
    minimum = MINIMUM_BAD_EVENTS if pair.minimum_bad_events is None else pair.minimum_bad_events
    return ActivePair(pair.long, pair.short, pair.factor, minimum)


def _errors_look(policy: Policy, pairs: tuple[ActivePair, ...], window: Duration) -> Duration:
    written = pairs[:1] if policy.burn else ()
    return min(HOUR, window, *(pair.long for pair in written))


def _calm_looks(
    policy: Policy, pairs: tuple[ActivePair, ...], window: Duration
) -> tuple[Duration, Duration]:
    """5m and 30m, or the looks of the fastest pair that was written for a shorter window."""
    if policy.burn and pairs[0].long < CALM_LONG:
        return min(pairs[0].short, window), min(pairs[0].long, window)
    return min(CALM_SHORT, window), min(CALM_LONG, window)


def _unknown(written: UnknownPolicy, default: UnknownPolicy) -> Unknown:
    return Unknown(
        keep_last=_or(written.keep_last, default.keep_last or Duration(0)),
        then=written.then or default.then or UnknownThen.HOLD,
    )


def _or(written: T | None, default: T) -> T:
    return default if written is None else written
