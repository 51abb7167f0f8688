"""The oracle that ends every story: what the operator says, decided once more by a fresh eye.

It reads the final inputs (our objects, the workloads, Prometheus), lets the pure core decide, and
compares: status, record, hold and metrics must be what comes out, and nothing may be left to do. A
test may end in the middle of something, so it waits for agreement, boundedly. What the operator
wrote on the way is judged by the invariants.

An operator that a test has ended is begun again: it must come to agree as well.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.clock import SystemClock
from penstock.adapters.credentials import CredentialCache
from penstock.adapters.custom_resources import CustomResources
from penstock.adapters.kube_client import KubeClient
from penstock.adapters.metrics import MetricsRegistry
from penstock.adapters.prometheus_query_client import PrometheusQueryClient
from penstock.adapters.source_pool import SourcePool
from penstock.adapters.workloads.registry import WorkloadRegistry
from penstock.domain.cached_object import CachedObject, Resource
from penstock.domain.decision import SloEvidence
from penstock.domain.effective_policy import EffectivePolicy, resolve_policy
from penstock.domain.evidence import Evidence, EvidenceKind
from penstock.domain.gate import StepResult, hold_manager, step
from penstock.domain.quantities import Duration
from penstock.domain.rollout import Rollout
from penstock.domain.rollout_state import GateRecord, RolloutState
from penstock.domain.slo import Slo
from penstock.domain.verdict import GateState
from penstock.domain.window import length
from penstock.engine.budget.direct import Direct
from penstock.engine.manager_index import ManagerIndex, with_manager
from penstock.engine.object_cache import Named, ObjectCache, parsed_source
from penstock.engine.ports import EvidenceRequest
from penstock.settings import Settings
from support.invariants import Specs, traces, violations
from support.operator_process import wait_for
from support.story import NAME, Story
from testbed.recorder import Recorder

# Longer than the operator waits after a first and a second failure.
RETRY_SECONDS = 3.0
SCRAPE = Duration(int(Settings().scrape_interval * 1_000))
GAUGE = re.compile(r"^penstock_gate_state\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
# An exception that nobody foresaw is logged, counted, and survived: nobody else would notice.
BUG = re.compile(r'^penstock_errors_total\{.*where="(?!events|ledger).*\} [1-9]', re.MULTILINE)


def assert_all_is_well(story: Story, recorder: Recorder | None = None) -> None:
    """The operator agrees with a fresh eye, and has violated no invariant in this namespace."""
    if not story.operator.is_running:
        story.operator.start()
    wait_for("the oracle agrees", lambda: differences(story), lambda found: not found)
    # A watch that a test has cut may be lost for a while after all else is well.
    wait_for("I6: it is ready, or says why not", story.operator.is_ready)
    found = traces(story)
    if recorder is not None:
        found += violations(recorder.writes(namespace=story.namespace), specs(story))
    # pytest rewrites no assertion of a helper: the failure must tell what was found.
    assert not found, "\n".join(found)


def specs(story: Story) -> Specs:
    """What the authors of the Rollouts wrote, by uid."""
    rollouts = story.kube.call("GET", story.path("rollouts"))["items"]
    return {one["metadata"]["uid"]: one["spec"] for one in rollouts}


def differences(story: Story, metrics: str | None = None) -> list[str]:
    """Everything that a fresh eye sees otherwise than the operator says it.

    ``metrics`` stand for those of an operator that cannot be asked.
    """
    found = asyncio.run(_differences(story))
    metrics = story.operator.metrics() if metrics is None else metrics
    found += _gauges_that_differ(story, metrics)
    return found + [f"I6: an unforeseen error: {one}" for one in BUG.findall(metrics)]


async def _differences(story: Story) -> list[str]:
    # The client reads KUBECONFIG when it is imported, which may be before the bed is there.
    configuration = Configuration()
    await load_kube_config(str(story.bed.kubeconfig), client_configuration=configuration)
    kube = KubeClient(ApiClient(configuration))
    eye = _Eye(kube, story.namespace)
    try:
        return await eye.differences(story)
    finally:
        eye.close()
        await kube.close()


class _Eye:
    """Reads all of one namespace, once."""

    def __init__(self, server: KubeClient, namespace: str) -> None:
        self._namespace = namespace
        self._cluster = CustomResources(server, (namespace,))
        self._workloads = WorkloadRegistry.of(server, (namespace,))
        self._managers = ManagerIndex()
        clock, settings = SystemClock(), Settings()
        credentials = CredentialCache(self._cluster.secret, clock, "", settings.token_folder)
        self._sources = SourcePool(credentials, clock, MetricsRegistry())
        self._metrics = Direct(PrometheusQueryClient(self._sources, clock))
        self._cache = ObjectCache()

    def close(self) -> None:
        self._sources.close()

    async def differences(self, story: Story) -> list[str]:
        for kind, found in (await self._workloads.list_managers()).items():
            self._managers.replace(kind, found)
        for resource in Resource:
            for obj in await self._cluster.list(resource):
                self._cache.upsert(resource, obj)
        return [
            f"{obj.ref.name}: {one}"
            for obj in self._cache.all(Resource.ROLLOUT)
            if isinstance(obj.spec, Rollout)
            for one in await self._of(story, obj.spec, obj)
        ] + await self._stray_holds()

    async def _of(self, story: Story, rollout: Rollout, entry: CachedObject) -> list[str]:
        told = entry.rollout_state
        if told is None or told.gate is None:
            return ["nothing is told of its gate"]
        now = datetime.now(UTC)
        workload = await self._workloads.observe(
            self._namespace, rollout.workload, hold_manager(rollout)
        )
        workload = with_manager(
            workload, self._managers.manager_of(self._namespace, rollout.workload)
        )
        guards = self._cache.rollouts_for_workload(self._namespace, rollout.workload)
        own = (self._namespace, entry.ref.name)
        conflicting = guards[0][1] if guards[0] != own else None
        named = self._cache.slos_for_rollout(rollout)
        slos = tuple([await self._judged(rollout, one, now) for one in named])
        stepped = step(rollout, told, workload, slos, conflicting, now)
        record = story.read("gaterecords", entry.ref.name)
        return list(compared(told, record.get("data") or {}, stepped, ours=workload.held_by_us))

    async def _judged(self, rollout: Rollout, named: Named, now: datetime) -> SloEvidence:
        slo = named.obj.spec if named.obj else None
        if not isinstance(slo, Slo):
            kind = EvidenceKind.SLO_INVALID if named.obj else EvidenceKind.SLO_NOT_FOUND
            return SloEvidence(named.name, Evidence(kind), None)
        applies = resolve_policy(rollout.policy, slo.objective, length(slo.window, now), SCRAPE)
        return SloEvidence(named.name, await self._evidence(slo, applies, now), applies)

    async def _evidence(self, slo: Slo, applies: EffectivePolicy, now: datetime) -> Evidence:
        source = parsed_source(self._cache.source_for_slo(slo))
        if source is None:
            return Evidence(EvidenceKind.SOURCE_NOT_FOUND)
        window = length(slo.window, now)
        burn_windows = frozenset(
            burn_window for burn_window in applies.burn_windows if burn_window != window
        )
        answers = await self._metrics.measure(source, [EvidenceRequest(slo, burn_windows)], now)
        return answers[slo.ref]

    async def _stray_holds(self) -> list[str]:
        known = {obj.ref.uid for obj in self._cache.all(Resource.ROLLOUT)}
        return [
            f"{hold_ref.ref} is held for a Rollout that is no more"
            for hold_ref in await self._workloads.held()
            if hold_ref.owner not in known and not hold_ref.keep
        ]


def compared(
    told: RolloutState, record: Mapping[str, Any], stepped: StepResult, *, ours: bool
) -> Iterator[str]:
    """What differs between what is told and what comes out; figures that move are no difference."""
    said, decided = _facts(told), _facts(stepped.state)
    for fact, value in decided.items():
        if said[fact] != value:
            yield f"{fact} is told as {said[fact]}, and comes out as {value}"
    if told.hold.active is not ours:
        yield f"the hold is told as {told.hold.active}, and read back as {ours}"
    if stepped.workload_action is not None:
        yield f"it is left to do: {stepped.workload_action}"
    wanted = _of_record(stepped.record)
    read = {
        "admits": record.get("admits"),
        "admission": record.get("admission"),
        "templates": [one["hash"] for one in record.get("templates") or ()],
    }
    if read != wanted:
        yield f"admission reads {read}, and should read {wanted}"


def _facts(state: RolloutState) -> dict[str, object]:
    gate, release = state.gate, state.release
    return {
        "gate": gate and (str(gate.verdict), str(gate.state), str(gate.reason), gate.slo),
        "release": release and (release.id, release.from_hash, release.origin, release.reason),
        "complete": state.complete,
        "stable": [stable.hash for stable in state.stable],
        "hold": (state.hold.active, state.hold.effect, state.hold.contested_by),
    }


def _of_record(record: GateRecord) -> dict[str, object]:
    return {
        "admits": record.admits,
        "admission": "Warn" if record.warns else "Deny",
        "templates": [body.hash for body, _ in record.templates],
    }


def _gauges_that_differ(story: Story, metrics: str) -> list[str]:
    """The metrics of each gate are what its status says, and there are none of others."""
    told = {
        (one["metadata"]["name"], one["status"]["gate"]["state"])
        for one in story.kube.call("GET", story.path("rollouts"))["items"]
        if "gate" in one.get("status", {})
    }
    shown, names = set(), set()
    for labels, value in GAUGE.findall(metrics):
        of = dict(LABEL.findall(labels))
        if of["namespace"] == story.namespace:
            names.add(of["rollout"])
            if float(value):
                shown.add((of["rollout"], of["state"]))
    expected = {name for name, _ in told}
    if (shown, names) == (told, expected):
        return []
    return [f"metrics show {sorted(shown)} of {len(GateState)} states, status {sorted(told)}"]


def end_state(story: Story) -> dict[str, Any]:
    """All that does not depend on when and how often it was written."""
    status, record = story.status(), story.read("gaterecords")
    return {
        "gate": {key: status["gate"][key] for key in ("state", "verdict", "reason", "slo")},
        "hold": status["hold"]["active"],
        "stable": [one["hash"] for one in status["stable"]],
        "admits": record["data"]["admits"],
        "paused": story.deployment()["spec"].get("paused"),
        "pausers": story.pausers(),
    }


def steady(story: Story) -> dict[str, Any]:
    """The end state, unless something changes it yet: a write that failed is tried again soon."""
    found = end_state(story)
    time.sleep(RETRY_SECONDS)
    return found if end_state(story) == found else {}


def assert_a_fresh_operator_agrees(story: Story) -> None:
    """A new process comes to the same end, and has nothing to fix."""
    wait_for("the oracle agrees", lambda: differences(story), lambda found: not found)
    before = wait_for("its end is reached", lambda: steady(story))
    decided = story.gate()["decidedAt"]
    story.operator.stop()
    story.operator.start()
    story.patch("rollouts", NAME, {"spec": {"policy": {"resume": {"margin": "2%"}}}})
    generation = story.read("rollouts")["metadata"]["generation"]
    wait_for(
        "the new operator has judged",
        story.status,
        lambda it: it["observedGeneration"] == generation and it["gate"]["decidedAt"] > decided,
    )
    after = end_state(story)
    assert after == before, f"{before} became {after}"
