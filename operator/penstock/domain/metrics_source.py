"""A metrics source, parsed; it names its Secrets and never contains them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from penstock.domain.quantities import Duration
from penstock.domain.refs import ObjectRef, SecretKeyRef
from penstock.domain.slo import SourceKind


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """A user name in the open, a password in a Secret."""

    username: str
    password: SecretKeyRef


@dataclass(frozen=True, slots=True)
class BearerAuth:
    """A token in a Secret."""

    token: SecretKeyRef


@dataclass(frozen=True, slots=True)
class OAuth2Auth:
    """Client credentials, exchanged for a token at ``token_url``."""

    token_url: str
    client_id: str
    client_secret: SecretKeyRef
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenFileAuth:
    """A token in a file of the operator's pod, read again when it is rotated."""

    path: str


Auth = BasicAuth | BearerAuth | OAuth2Auth | TokenFileAuth


@dataclass(frozen=True, slots=True)
class Tls:
    """What to trust and what to show; None everywhere means the system's own trust."""

    ca: SecretKeyRef | None = None
    client_certificate: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """One header that goes with each request, such as a tenant's; its value open or in a Secret."""

    name: str
    value: str | SecretKeyRef


class Dialect(StrEnum):
    """Server type, which decides the parameters for a complete and current answer."""

    PROMETHEUS = "Prometheus"
    THANOS = "Thanos"
    MIMIR = "Mimir"
    VICTORIA_METRICS = "VictoriaMetrics"

    @property
    def has_native_histograms(self) -> bool:
        """VictoriaMetrics makes series of them, with ranges of its own choice."""
        return self is not Dialect.VICTORIA_METRICS

    @property
    def counts_resets(self) -> bool:
        """Thanos takes a restart for a change of the replica that it reads, and fixes it."""
        return self is not Dialect.THANOS

    @property
    def sees_each_restart(self) -> bool:
        """VictoriaMetrics takes a counter that falls by less than an eighth for a corrected one."""
        return self is not Dialect.VICTORIA_METRICS


@dataclass(frozen=True, slots=True)
class MetricsSource:
    """A source that answers the Prometheus query API; ``kind`` says whose secrets it may use."""

    ref: ObjectRef
    generation: int
    kind: SourceKind
    url: str
    auth: Auth | None
    tls: Tls
    headers: tuple[Header, ...]
    timeout: Duration
    freshness: Duration
    dialect: Dialect = Dialect.PROMETHEUS
    replica_label: str | None = None
