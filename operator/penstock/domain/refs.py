"""Names of objects in a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """One object of ours; the uid tells a re-created namesake from the object decided about."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, order=True)
class WorkloadRef:
    """What is being released, by name: it may be deleted and made again while we watch."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class SecretKeyRef:
    """One key of a Secret; the value itself never enters the core."""

    name: str
    key: str
