"""Carries out the actions of a decision (GateRecord, hold, release); it decides nothing."""

from __future__ import annotations

from dataclasses import replace

from penstock.domain.actions import HoldWorkload, ReleaseWorkload, WorkloadAction, WriteGateRecord
from penstock.domain.refs import ObjectRef
from penstock.domain.rollout_state import GateRecord
from penstock.domain.workload import WorkloadState
from penstock.engine.metric_names import CounterName
from penstock.engine.ports import HoldRef, HoldResult, Lease, MetricsRecorder, StatusApi, Workloads
from penstock.errors import ClusterError


class Actuator:
    """Writes for Rollouts and their workloads, and only while we lead."""

    def __init__(
        self, api: StatusApi, workloads: Workloads, lease: Lease, metrics: MetricsRecorder
    ) -> None:
        self._api, self._workloads, self._lease, self._metrics = api, workloads, lease, metrics
        self._recorded: dict[str, GateRecord] = {}

    async def write_gate_record(self, rollout: ObjectRef, action: WriteGateRecord) -> None:
        """Write what admission reads, unless only numbers in its message differ.

        Raises:
            ClusterError: the record was not written.
        """
        mark = replace(action.record, message=action.decision)
        if self._recorded.get(rollout.uid) == mark:
            return
        self._check_lease()
        await self._api.write_record(rollout, action.record)
        self._recorded[rollout.uid] = mark

    async def apply(
        self, rollout: ObjectRef, workload: WorkloadState, action: WorkloadAction
    ) -> HoldResult:
        """Hold or release exactly the workload that was observed.

        Raises:
            ClusterError: the outcome is unknown.
        """
        self._check_lease()
        match action:
            case HoldWorkload(manager, keep):
                result = await self._workloads.hold(workload, manager, keep=keep)
                kind = "Hold"
            case ReleaseWorkload():
                hold_ref = HoldRef(workload.namespace, workload.ref, workload.uid, rollout.uid)
                result = await self._workloads.release(hold_ref)
                kind = "Release"
        self._metrics.count(CounterName.WRITES, kind=kind, outcome=result.outcome)
        return result

    async def release(self, hold_ref: HoldRef) -> HoldResult:
        """Release a hold whose Rollout is gone.

        Raises:
            ClusterError: the outcome is unknown.
        """
        self._check_lease()
        return await self._workloads.release(hold_ref)

    def forget(self, rollout: ObjectRef) -> None:
        """Forget a Rollout that is gone; its GateRecord is gone with it."""
        self._recorded.pop(rollout.uid, None)

    def _check_lease(self) -> None:
        if not self._lease.held:
            raise ClusterError("leadership is lost, so nothing is written")
