"""The kinds MetricsSource and ClusterMetricsSource: where metrics come from."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from penstock.api.base import Choice, KubeModel, Rule, at_most_one, exactly_one
from penstock.api.common import ATOMIC, CONDITIONS, TIME, Condition, SecretKey, SecretName
from penstock.api.field_types import URL_PATTERN, Text, duration, forbids, free_text, matches, name
from penstock.domain.metrics_source import Dialect

TOKEN_FOLDER = "/etc/penstock/tokens/"  # noqa: S105 - a folder, not a token


def _url(field: str) -> Text:
    return Text(
        (
            matches(
                URL_PATTERN,
                f"{field}: write an http:// or https:// URL without user name, password, ? and #, "
                "such as http://prometheus.monitoring:9090; put credentials in spec.auth",
            ),
        ),
        2_048,
    )


class BasicAuthSpec(KubeModel):
    """Basic authentication."""

    username: Annotated[str, free_text(256)]
    """User name. Example: penstock"""
    password_ref: SecretKey
    """Secret key that holds the password. Example: {name: prometheus, key: password}"""


class BearerAuthSpec(KubeModel):
    """A bearer token."""

    token_ref: SecretKey
    """Secret key that holds the token. Example: {name: prometheus, key: token}"""


class OAuth2Spec(KubeModel):
    """OAuth 2.0 client credentials."""

    token_url: Annotated[str, _url("auth.oauth2.tokenUrl")]
    """Token endpoint. Example: https://login.example.com/oauth2/token"""
    client_id: Annotated[str, free_text(256)]
    """Client ID. Example: penstock"""
    client_secret_ref: SecretKey
    """Secret key that holds the client secret. Example: {name: prometheus, key: client-secret}"""
    scopes: list[Annotated[str, free_text(128)]] | None = Field(
        default=None, max_length=16, json_schema_extra=ATOMIC
    )
    """Scopes to request. Example: [metrics.read]"""


class AuthSpec(KubeModel):
    """Credentials; set at most one. Secrets are read from this namespace."""

    basic: BasicAuthSpec | None = None
    """Basic authentication."""
    bearer: BearerAuthSpec | None = None
    """A bearer token."""
    oauth2: OAuth2Spec | None = None
    """OAuth 2.0 client credentials."""

    rules: ClassVar[tuple[Rule, ...]] = (at_most_one("auth", "basic", "bearer", "oauth2"),)


class ClusterAuthSpec(AuthSpec):
    """Credentials; set at most one. Secrets are read from the operator's namespace."""

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
    """Token file in the operator's pod, re-read when it is rotated.
    Example: /etc/penstock/tokens/prometheus"""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one("auth", "basic", "bearer", "oauth2", "token_file"),
    )


class TlsSpec(KubeModel):
    """CA to trust and client certificate to present. Requires an https:// URL."""

    ca_ref: SecretKey | None = None
    """CA certificates to trust instead of the system's, as PEM. Example: {name: ca, key: ca.crt}"""
    client_certificate_ref: SecretName | None = None
    """Secret of type kubernetes.io/tls with the client certificate. Example: {name: client}"""
    server_name: Annotated[str, name("tls.serverName", "the server")] | None = None
    """Name expected in the server's certificate, if it differs from the host in url.
    Example: prometheus.example.com"""


class HeaderSpec(KubeModel):
    """A header sent with each request."""

    name: Annotated[
        str,
        Text(
            (
                matches(
                    "[A-Za-z0-9-]+",
                    "headers.name: write a header name: letters, digits and -",
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
    """Value in plain text. Example: team-a"""
    value_from: SecretKey | None = None
    """Secret key that holds the value. Example: {name: tenant, key: id}"""

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
    """What both kinds of source share."""

    url: Annotated[str, _url("url")]
    """Base URL of a server with the Prometheus query API, without credentials.
    Example: http://prometheus.monitoring:9090"""
    tls: TlsSpec | None = None
    """CA to trust and client certificate to present. Requires an https:// URL."""
    headers: list[HeaderSpec] | None = Field(default=None, max_length=16, json_schema_extra=ATOMIC)
    """Headers sent with each request, such as a tenant ID.
    Example: [{name: X-Scope-OrgID, value: team-a}]"""
    timeout: Annotated[str, duration("timeout", least="1s", most="1m", example="8s")] = "8s"
    """Timeout of one request, from 1s to 1m. Default: 8s"""
    freshness: Annotated[str, duration("freshness", least="5s", most="1d", example="2m")] = "2m"
    """Age beyond which data is stale and no longer used, from 5s to 1d. Default: 2m"""
    dialect: Choice[Dialect] | None = None
    """Server type: Prometheus, Thanos or VictoriaMetrics. Penstock uses it to turn off partial
    responses and caching, and to turn on deduplication. For a Mimir tenant use headers.
    Default: Prometheus"""
    replica_label: (
        Annotated[
            str,
            Text(
                (
                    matches(
                        "[a-zA-Z_][a-zA-Z0-9_]*",
                        "replicaLabel: write a label name: letters, digits and _",
                    ),
                ),
                128,
            ),
        ]
        | None
    ) = None
    """Label that distinguishes replicas, for deduplication by Thanos if it is not configured there.
    With dialect Thanos only. Example: replica"""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.tls) || self.url.startsWith('https://') || !(has(self.tls.caRef) || "
            "has(self.tls.clientCertificateRef) || has(self.tls.serverName))",
            message="tls: write an https:// URL in url, or leave out tls",
            holds=_tls_only_for_https,
        ),
        Rule(
            cel="!has(self.replicaLabel) || (has(self.dialect) && self.dialect == 'Thanos')",
            message="replicaLabel: write dialect Thanos, which alone supports it, or leave "
            "out replicaLabel",
            holds=_replicas_only_for_thanos,
        ),
    )


class MetricsSourceSpec(_SourceSpec):
    """Where metrics come from, with Secrets of this namespace only."""

    auth: AuthSpec | None = None
    """Credentials; set at most one of basic, bearer, oauth2."""


class ClusterMetricsSourceSpec(_SourceSpec):
    """Where metrics come from, with Secrets of the operator's namespace only."""

    auth: ClusterAuthSpec | None = None
    """Credentials; set at most one of basic, bearer, oauth2, tokenFile."""


class SourceStatus(KubeModel):
    """Whether the source answers; written by Penstock only."""

    observed_generation: int | None = Field(default=None, ge=0)
    """The metadata.generation that this status is based on."""
    last_answered_at: str | None = TIME
    """Time of the last answer; updated on a change and every ten minutes."""
    conditions: list[Condition] | None = CONDITIONS
    """Conditions: Ready, which says whether the source answers, and why not."""


class MetricsSource(KubeModel):
    """Where metrics come from: a server with the Prometheus query API. The one named default serves
    the SLOs of its namespace that name no source.
    """

    spec: MetricsSourceSpec
    """Where metrics come from, with Secrets of this namespace only."""
    status: SourceStatus | None = None
    """Whether the source answers; written by Penstock only."""


class ClusterMetricsSource(KubeModel):
    """Where metrics come from, for the whole cluster. The one named default serves SLOs that name
    no source, in namespaces without their own default.
    """

    spec: ClusterMetricsSourceSpec
    """Where metrics come from, with Secrets of the operator's namespace only."""
    status: SourceStatus | None = None
    """Whether the source answers; written by Penstock only."""
