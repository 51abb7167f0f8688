"""The arithmetic of error budgets, in events and in time (Google's SRE workbook, chapter 5).

Symbols: b the budget share (1 - objective), B bad events, N all events, W the window's length.
"""

from __future__ import annotations

from decimal import Decimal

from penstock.domain.quantities import ONE, Duration, Objective, Ratio

# Half a point: a smaller difference is not reported as a change.
NOTABLE = Decimal("0.005")


def allowed_events(objective: Objective, total: int) -> Decimal:
    """How many of ``total`` events may be bad: b x N. 99.9% of 1,000,000: 1,000."""
    return objective.budget * total


def allowed_time(objective: Objective, window: Duration) -> Duration:
    """How long a full outage may last: b x W. 99.9% of 30d: 43m12s."""
    return Duration(int(objective.budget * window.milliseconds))


def remaining(objective: Objective, bad: Decimal, total: Decimal) -> Ratio | None:
    """The share of the budget that is left: 1 - B / (b x N), negative once overspent.

    500 bad of 1,000,000 at 99.9% leave 0.5; 1,500 leave -0.5, which is never clamped. Without
    events there is no share to speak of: None.
    """
    if total <= 0:
        return None
    return Ratio.of(ONE - bad / (objective.budget * total))


def spent(objective: Objective, bad: Decimal, total: Decimal) -> Ratio | None:
    """The share of the window's whole budget that some of its bad events are: B / (b x N).

    50 of the bad events of 1,000,000 at 99.9% are 0.05, five points; 1,500 are 1.5. Without events
    in the window: None.
    """
    if total <= 0:
        return None
    return Ratio.of(bad / (objective.budget * total))


def burn_rate(objective: Objective, bad: Decimal, total: Decimal) -> Ratio | None:
    """How fast the budget is spent: (B / N) / b; 1 spends it exactly by the window's end.

    144 bad of 10,000 at 99.9% burn at 14.4. Without events: None.
    """
    if total <= 0:
        return None
    return Ratio.of(bad / total / objective.budget)


def consumed(burn: Ratio, span: Duration, window: Duration) -> Ratio:
    """The share of the whole budget that ``burn`` spends in ``span``: r x t / W.

    14.4 for 1h of 30d spends 0.02, 6 for 6h 0.05, 1 for 3d 0.1.
    """
    return Ratio.of(burn.value * span.milliseconds / window.milliseconds)


def exhausted_in(left: Ratio, burn: Ratio, window: Duration) -> Duration | None:
    """Time until nothing is left if ``burn`` stays and nothing leaves the window: left x W / r.

    40% left at burn 2 of 30d lasts 6d. None when it is not being spent.
    """
    if burn.value <= 0:
        return None
    return Duration(max(0, int(left.value * window.milliseconds / burn.value)))


def highest_burn_rate(objective: Objective) -> Ratio:
    """What a full outage burns at: 1 / b; a pair with a higher factor can never fire.

    99% burns at most at 100, so 14.4 can fire; 90% burns at most at 10, so it cannot.
    """
    return Ratio.of(ONE / objective.budget)
