"""One SLO as its author wrote it, for tests of what is said about it."""

from __future__ import annotations

from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef
from penstock.domain.slo import Occurrences, Slo
from penstock.domain.window import RollingWindow
from support.decision_fixtures import OBJECTIVE
from support.indicators import ratio

SLO = Slo(
    ref=ObjectRef("shop", "checkout", "a1"),
    generation=2,
    labels={},
    description="",
    objective=OBJECTIVE,
    window=RollingWindow(Duration.parse("30d")),
    budgeting=Occurrences(),
    indicator=ratio("errors_total", "requests_total"),
    source=None,
    minimum_events=0,
)
