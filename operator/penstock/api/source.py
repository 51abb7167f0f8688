"""The kinds MetricsSource and ClusterMetricsSource: where numbers come from."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Choice, KubeModel, Rule, at_most_one, exactly_one
from penstock.api.common import ATOMIC, CONDITIONS, TIME, Condition, SecretKey, SecretName
from penstock.api.text import URL_PATTERN, Text, duration, forbids, free_text, matches, name
from penstock.domain.source import Dialect

TOKEN_FOLDER = "/etc/penstock/tokens/"  # noqa: S105 - a folder, not a token


def _url(field: str) -> Text:
    return Text(
        (
            matches(
                URL_PATTERN,
                f"{field}: write an http:// or https:// address without user name, password, ? and "
                "#, such as http://prometheus.monitoring:9090; credentials belong into spec.auth",
            ),
        ),
        2_048,
    )


class BasicAuthSpec(KubeModel):
    """User name and password."""

    username: Annotated[str, free_text(256)]
    """The user name. Example: penstock"""
    password_ref: SecretKey
    """Where the password is. Example: {name: prometheus, key: password}"""


class BearerAuthSpec(KubeModel):
    """A token that is sent as it is."""

    token_ref: SecretKey
    """Where the token is. Example: {name: prometheus, key: token}"""


class OAuth2Spec(KubeModel):
    """A token that is asked for with client credentials."""

    token_url: Annotated[str, _url("auth.oauth2.tokenUrl")]
    """Where tokens are given out. Example: https://login.example.com/oauth2/token"""
    client_id: Annotated[str, free_text(256)]
    """Name of the client. Example: penstock"""
    client_secret_ref: SecretKey
    """Where the client's secret is. Example: {name: prometheus, key: client-secret}"""
    scopes: list[Annotated[str, free_text(128)]] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Scopes to ask for. Example: [metrics.read]"""


class AuthSpec(KubeModel):
    """Who Penstock says it is: at most one way. Secrets are of this namespace."""

    basic: BasicAuthSpec | None = None
    """User name and password."""
    bearer: BearerAuthSpec | None = None
    """A token that is sent as it is."""
    oauth2: OAuth2Spec | None = None
    """A token that is asked for with client credentials."""

    rules: ClassVar[tuple[Rule, ...]] = (at_most_one("auth", "basic", "bearer", "oauth2"),)


class ClusterAuthSpec(AuthSpec):
    """Who Penstock says it is: at most one way. Secrets are of the operator's namespace."""

    token_file: (
        Annotated[
            str,
            Text(
                (
                    matches(
                        TOKEN_FOLDER + r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*",
                        f"auth.tokenFile: write the path of a file under {TOKEN_FOLDER}",
                    ),
                    forbids(
                        "self.contains('..')",
                        f"auth.tokenFile: write a path without .. that stays under {TOKEN_FOLDER}",
                        lambda path: ".." in path,
                    ),
                ),
                512,
            ),
        ]
        | None
    ) = None
    """A file of the operator's pod with a token, read again when it is rotated.
    Example: /etc/penstock/tokens/prometheus"""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one("auth", "basic", "bearer", "oauth2", "token_file"),
    )


class TlsSpec(KubeModel):
    """What to trust and what to show; needs an https:// address."""

    ca_ref: SecretKey | None = None
    """Certificates to trust instead of the system's, as PEM. Example: {name: ca, key: ca.crt}"""
    client_certificate_ref: SecretName | None = None
    """A Secret of type kubernetes.io/tls whose certificate is shown. Example: {name: client}"""
    server_name: Annotated[str, name("tls.serverName", "the server")] | None = None
    """Name that the server's certificate must carry, where the address has another.
    Example: prometheus.example.com"""


class HeaderSpec(KubeModel):
    """One header that goes with each request."""

    name: Annotated[
        str,
        Text(
            (
                matches(
                    "[A-Za-z0-9-]+",
                    "headers.name: write a header's name: letters, digits and -",
                ),
                forbids(
                    "self.lowerAscii() == 'authorization'",
                    "headers.name: Authorization is set by auth; write it there",
                    lambda header: header.lower() == "authorization",
                ),
            ),
            128,
        ),
    ]
    """Name of the header. Example: X-Scope-OrgID"""
    value: (
        Annotated[
            str,
            Text(
                (
                    matches(
                        "[ -~]+", "headers.value: write printable ASCII characters, at least one"
                    ),
                ),
                1_024,
            ),
        ]
        | None
    ) = None
    """Its value, in the open. Example: team-a"""
    value_from: SecretKey | None = None
    """Or a Secret that has it. Example: {name: tenant, key: id}"""

    rules: ClassVar[tuple[Rule, ...]] = (exactly_one("headers", "value", "value_from"),)


def _tls_only_for_https(spec: MetricsSourceSpec | ClusterMetricsSourceSpec) -> bool:
    used = spec.tls is not None and any(
        part is not None
        for part in (spec.tls.ca_ref, spec.tls.client_certificate_ref, spec.tls.server_name)
    )
    return not used or spec.url.startswith("https://")


def _replicas_only_for_thanos(spec: MetricsSourceSpec | ClusterMetricsSourceSpec) -> bool:
    return spec.replica_label is None or spec.dialect is Dialect.THANOS


class _SourceSpec(KubeModel):
    """What both kinds of source have in common."""

    url: Annotated[str, _url("url")]
    """Address of a server that answers the Prometheus query API, without credentials in it.
    Example: http://prometheus.monitoring:9090"""
    tls: TlsSpec | None = None
    """What to trust and what to show; needs an https:// address."""
    headers: list[HeaderSpec] | None = Field(default=None, max_length=16, json_schema_extra=ATOMIC)
    """Headers for each request, such as a tenant's. Example: [{name: X-Scope-OrgID, value:
    team-a}]"""
    timeout: Annotated[str, duration("timeout", least="1s", most="1m", example="8s")] = "8s"
    """How long one request may take, from 1s to 1m. Default: 8s"""
    freshness: Annotated[str, duration("freshness", least="5s", most="1d", example="2m")] = "2m"
    """Older data is stale and permits nothing, from 5s to 1d. Default: 2m"""
    dialect: Choice[Dialect] | None = None
    """Which server answers there, so that it is told to give whole answers only: Thanos without
    partial responses and with deduplication, VictoriaMetrics without its cache. A tenant of Mimir
    goes into headers. Default: Prometheus"""
    replica_label: (
        Annotated[
            str,
            Text(
                (
                    matches(
                        "[a-zA-Z_][a-zA-Z0-9_]*",
                        "replicaLabel: write a label's name: letters, digits and _",
                    ),
                ),
                128,
            ),
        ]
        | None
    ) = None
    """The label by which Thanos tells replicas apart that scrape the same, where it has not been
    told itself. With dialect Thanos only. Example: replica"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.tls) || self.url.startsWith('https://') || !(has(self.tls.caRef) || "
            "has(self.tls.clientCertificateRef) || has(self.tls.serverName))",
            message="tls: write an https:// address in url, or leave tls out",
            holds=_tls_only_for_https,
        ),
        Rule(
            cel="!has(self.replicaLabel) || (has(self.dialect) && self.dialect == 'Thanos')",
            message="replicaLabel: write dialect Thanos, which alone takes it, or leave "
            "replicaLabel out",
            holds=_replicas_only_for_thanos,
        ),
    )


class MetricsSourceSpec(_SourceSpec):
    """Where numbers come from, with secrets of this namespace only."""

    auth: AuthSpec | None = None
    """Who Penstock says it is: at most one of basic, bearer, oauth2."""


class ClusterMetricsSourceSpec(_SourceSpec):
    """Where numbers come from, with secrets of the operator's namespace only."""

    auth: ClusterAuthSpec | None = None
    """Who Penstock says it is: at most one of basic, bearer, oauth2, tokenFile."""


class SourceStatus(KubeModel):
    """Whether the source answers; written by Penstock alone."""

    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this is of."""
    last_answered_at: str | None = TIME
    """When it answered last; written on a change, and every ten minutes."""
    conditions: list[Condition] | None = CONDITIONS
    """Ready: whether the source answers, and if not, why."""


class MetricsSource(KubeModel):
    """Where numbers come from: a server that answers the Prometheus query API. The one named
    default serves SLOs of its namespace that name none.
    """

    spec: MetricsSourceSpec
    """Where numbers come from, with secrets of this namespace only."""
    status: SourceStatus | None = None
    """Whether the source answers; written by Penstock alone."""


class ClusterMetricsSource(KubeModel):
    """Where numbers come from, for the whole cluster. The one named default serves SLOs that name
    none, in namespaces without a default of their own.
    """

    spec: ClusterMetricsSourceSpec
    """Where numbers come from, with secrets of the operator's namespace only."""
    status: SourceStatus | None = None
    """Whether the source answers; written by Penstock alone."""
