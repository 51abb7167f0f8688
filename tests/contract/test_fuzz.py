"""Many manifests with one mistake each: the real API server and the parser agree on every
one, and the parser raises nothing but ``SpecInvalid``.

A server that accepts what the parser refuses makes objects that are stored and never served; a
parser that accepts what the server refuses says that a rule was written only once. A failure prints
the seed: ``SEED=... pytest tests/contract/test_fuzz.py`` repeats it, in a run of the same size.
"""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from penstock.api.kinds import KINDS
from support import draws
from support.mutations import mutated
from support.strategies import bodies
from support.validators import Problem, parser_says, path_of, server_says
from testbed.api import Kube

pytestmark = [pytest.mark.servers, pytest.mark.slow]

OBJECTS_OF_A_KIND = {
    "SLO": draws.size(commit=160, full=800),
    "Rollout": draws.size(commit=200, full=1_000),
    "MetricsSource": draws.size(commit=80, full=400),
    "ClusterMetricsSource": draws.size(commit=80, full=400),
    "GateRecord": draws.size(commit=80, full=300),
}
AT_LEAST = draws.size(commit=450, full=2_000)
AT_LEAST_OF_EACH_VERDICT = 0.3
THREADS = 4
# What these mean only the parser knows: PromQL, names of time zones.
KNOWN_TO_THE_PARSER_ALONE = ("histogram", "metric", "bad", "good", "total", "timeZone")


@dataclass(frozen=True)
class Case:
    """One manifest, what was done to it, and both verdicts."""

    body: dict[str, Any]
    done: str
    server: tuple[Problem, ...]
    parser: Problem | None

    @property
    def verdict(self) -> str:
        if self.server and self.parser:
            return "refused by both"
        if not self.server and not self.parser:
            return "accepted by both"
        if self.parser and self.parser.at.endswith(KNOWN_TO_THE_PARSER_ALONE):
            return "refused for what only the parser knows"
        return "disagreed on"

    def __str__(self) -> str:
        said = f"server: {[*self.server] or 'accepted'}\nparser: {self.parser or 'accepted'}"
        return f"{self.done}\n{json.dumps(self.body)[:2_000]}\n{said}\n"


def test_the_server_and_the_parser_agree_on_every_manifest(admin: Kube) -> None:
    chosen = draws.seed()
    random = Random(chosen)
    manifests = [
        mutated(body, random)
        for frame in KINDS
        for body in generated(frame.kind, OBJECTS_OF_A_KIND[frame.kind], chosen)
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        cases = list(pool.map(lambda manifest: judged(admin, *manifest), manifests))
    verdicts = Counter(case.verdict for case in cases)
    print(dict(verdicts))
    disagreed = [case for case in cases if case.verdict == "disagreed on"]
    assert not disagreed, "\n".join([f"SEED={chosen}", *map(str, disagreed[:10])])
    assert len(cases) >= AT_LEAST
    for verdict in ("accepted by both", "refused by both"):
        assert verdicts[verdict] >= AT_LEAST_OF_EACH_VERDICT * len(cases), (chosen, verdicts)


def judged(admin: Kube, done: str, body: dict[str, Any]) -> Case:
    return Case(body, done, server_says(admin, path_of(body), body), parser_says(body))


def generated(kind: str, number: int, chosen: int) -> list[dict[str, Any]]:
    """So many right manifests, the same for the same seed."""
    collected: list[dict[str, Any]] = []

    @seed(chosen)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies(kind))
    def collect(body: dict[str, Any]) -> None:
        collected.append(body)

    collect()
    return collected
