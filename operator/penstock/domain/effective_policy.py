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
SHORTEST_WINDOW = Duration.parse("15s")
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
class BurnRule:
    """A burn pair that applies, complete."""

    long: Duration
    short: Duration
    factor: Decimal
    minimum_bad_events: int


@dataclass(frozen=True, slots=True)
class UnknownRule:
    """What one class of missing evidence means, complete."""

    keep_last: Duration
    then: UnknownThen


@dataclass(frozen=True, slots=True)
class EffectivePolicy:
    """The policy that applies to one SLO of one Rollout, complete.

    Attributes:
        burn_rules: fastest first.
        dropped_rules: default pairs that do not suit this SLO: too few scrapes in the short window,
            or a factor that even a full outage does not reach.
        impossible_rules: pairs that the author wrote and that can never fire.
        errors_window: the burn window in which errors count as continuing.
        calm_windows: the two burn windows that must be calm before a hold ends.
    """

    start_hold_at: Decimal
    in_flight_hold_at: Decimal
    while_burn_above: Decimal
    burn_rules: tuple[BurnRule, ...]
    dropped_rules: tuple[BurnRule, ...]
    impossible_rules: tuple[BurnRule, ...]
    errors_window: Duration
    calm_windows: tuple[Duration, Duration]
    margin: Decimal
    calm: Duration
    outage: UnknownRule
    thin: UnknownRule

    @property
    def burn_windows(self) -> frozenset[Duration]:
        """Every burn window that a decision by this policy needs."""
        of_pairs = {
            burn_window for rule in self.burn_rules for burn_window in (rule.long, rule.short)
        }
        return frozenset({self.errors_window, *self.calm_windows, *of_pairs})


def resolve_policy(
    policy: Policy, objective: Objective, window: Duration, scrape: Duration = NO_TIME
) -> EffectivePolicy:
    """Complete a policy for one SLO.

    Args:
        policy: what the author wrote.
        objective: the SLO's objective; it bounds what a pair can ever see.
        window: the SLO's window, at its present length.
        scrape: how often the metrics are taken; a default pair sees at least four scrapes.
    """
    rules, dropped = _burn_rules(policy, objective, window, scrape)
    return EffectivePolicy(
        start_hold_at=(policy.start.hold_at or HOLD_AT).ratio.value,
        in_flight_hold_at=(policy.in_flight.hold_at or HOLD_AT).ratio.value,
        while_burn_above=_or_default(policy.in_flight.while_burn_above, WHILE_BURN_ABOVE),
        burn_rules=rules,
        dropped_rules=dropped,
        impossible_rules=tuple(
            p for p in rules if policy.burn is not None and never_fires(p, objective)
        ),
        errors_window=_errors_window(policy, rules, window),
        calm_windows=_calm_windows(policy, rules, window),
        margin=(policy.resume.margin or MARGIN).ratio.value,
        calm=policy.resume.calm or CALM,
        outage=_unknown(policy.outage, OUTAGE),
        thin=_unknown(policy.thin, THIN),
    )


def never_fires(rule: BurnRule, objective: Objective) -> bool:
    """Whether even a full outage burns no faster: 14.4 never fires at 90%, which burns at 10."""
    return rule.factor >= highest_burn_rate(objective).value


def _burn_rules(
    policy: Policy, objective: Objective, window: Duration, scrape: Duration
) -> tuple[tuple[BurnRule, ...], tuple[BurnRule, ...]]:
    if policy.burn is not None:
        written = sorted(policy.burn, key=lambda pair: (pair.long, pair.short))
        return tuple(_active(pair) for pair in written), ()
    shortest = max(SHORTEST_WINDOW, Duration(4 * scrape.milliseconds))
    kept: list[BurnRule] = []
    dropped: list[BurnRule] = []
    for pair in default_burn_rules(window):
        serves = pair.short >= shortest and not never_fires(pair, objective)
        (kept if serves else dropped).append(pair)
    return tuple(kept), tuple(dropped)


def default_burn_rules(window: Duration) -> tuple[BurnRule, ...]:
    """The workbook's two page pairs, scaled.

    30d: 1h/5m at 14.4 and 6h/30m at 6. 7d: the same windows at 3.36 and 1.4. 1d: 2m/10s at 14.4 and
    12m/1m at 6.
    """
    if window >= WEEK:
        return tuple(
            BurnRule(
                long,
                short,
                share * window.milliseconds / long.milliseconds,
                MINIMUM_BAD_EVENTS,
            )
            for share, long, short in _SHARES
        )
    return tuple(
        BurnRule(
            Duration(max(1, window.milliseconds // long_part)),
            Duration(max(1, window.milliseconds // short_part)),
            factor,
            MINIMUM_BAD_EVENTS,
        )
        for factor, long_part, short_part in _PARTS
    )


def _active(pair: BurnPair) -> BurnRule:
    minimum = MINIMUM_BAD_EVENTS if pair.minimum_bad_events is None else pair.minimum_bad_events
    return BurnRule(pair.long, pair.short, pair.factor, minimum)


def _errors_window(policy: Policy, rules: tuple[BurnRule, ...], window: Duration) -> Duration:
    written = rules[:1] if policy.burn else ()
    return min(HOUR, window, *(rule.long for rule in written))


def _calm_windows(
    policy: Policy, rules: tuple[BurnRule, ...], window: Duration
) -> tuple[Duration, Duration]:
    """5m and 30m, or the windows of the fastest pair that was written for a shorter window."""
    if policy.burn and rules[0].long < CALM_LONG:
        return min(rules[0].short, window), min(rules[0].long, window)
    return min(CALM_SHORT, window), min(CALM_LONG, window)


def _unknown(written: UnknownPolicy, default: UnknownPolicy) -> UnknownRule:
    return UnknownRule(
        keep_last=_or_default(written.keep_last, default.keep_last or Duration(0)),
        then=written.then or default.then or UnknownThen.HOLD,
    )


def _or_default(written: T | None, default: T) -> T:
    return default if written is None else written
