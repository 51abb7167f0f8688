"""Names of objects in a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """One custom resource; the uid distinguishes it from a re-created namesake."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, order=True)
class WorkloadRef:
    """The workload by name: it may be deleted and re-created while we watch."""

    api_version: str
    kind: str
    name: str

    @property
    def group(self) -> str:
        """The API group; empty for Kubernetes' core group."""
        return self.api_version.rpartition("/")[0]

    def identity(self, namespace: str) -> tuple[str, str, str, str]:
        """What identifies the workload in a namespace: the group counts, the version does not."""
        return namespace, self.group, self.kind, self.name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True, order=True)
class SecretKeyRef:
    """One key of a Secret; the value itself never enters the core."""

    name: str
    key: str


@dataclass(frozen=True, slots=True, order=True)
class ApiResource:
    """A kind as the API server serves it.

    Attributes:
        group: its API group; empty for Kubernetes' core group.
        version: the version that Penstock reads and writes.
        kind: as manifests say it, ``Deployment``.
        plural: as paths say it, ``deployments``.
        namespaced: whether its objects are in namespaces.
    """

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Group and version as manifests say them, ``apps/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def is_built_in(self) -> bool:
        """Whether Kubernetes itself brings it, so that it is always served."""
        return "." not in self.group or self.group.endswith(".k8s.io")

    def is_kind_of(self, ref: WorkloadRef) -> bool:
        """Whether a reference means an object of this kind: the group counts, its version not."""
        return (ref.group, ref.kind) == (self.group, self.kind)

    def named(self, name: str) -> WorkloadRef:
        """A reference to one of its objects."""
        return WorkloadRef(self.api_version, self.kind, name)

    def __str__(self) -> str:
        return f"{self.api_version} {self.kind}"
