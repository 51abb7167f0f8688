"""Raw bodies of our kinds to values of the core, or ``SpecInvalid`` with the field's path.

What the API server checks by the schema is checked here again, because an object may have been
stored before the schema was that strict. What no schema can check (PromQL, time zones) only is
here. Nothing else than ``SpecInvalid`` ever leaves these functions, whatever the body is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from penstock.api import promql_validation
from penstock.api.base import KubeModel
from penstock.api.common import SecretKey
from penstock.api.policy import (
    BurnPairSpec,
    InFlightSpec,
    OutageSpec,
    PolicySpec,
    ResumeSpec,
    StartSpec,
    ThinSpec,
    UnknownSpec,
)
from penstock.api.rollout import Rollout as RolloutModel
from penstock.api.rollout import RolloutSpec, SLOSelectorSpec
from penstock.api.slo import SLO, BudgetingMethod, BudgetingSpec, IndicatorSpec, WindowSpec
from penstock.api.source import (
    AuthSpec,
    ClusterAuthSpec,
    ClusterMetricsSource,
    HeaderSpec,
    MetricsSource,
    TlsSpec,
)
from penstock.domain import indicator as indicators
from penstock.domain import metrics_source as sources
from penstock.domain import policy as policies
from penstock.domain import rollout as rollouts
from penstock.domain.quantities import Duration, Objective, Percentage
from penstock.domain.refs import ObjectRef, SecretKeyRef, WorkloadRef
from penstock.domain.slo import (
    Budgeting,
    Occurrences,
    RatioTimeslices,
    Slo,
    SourceKind,
    SourceRef,
    Timeslices,
)
from penstock.domain.window import CalendarWindow, RollingWindow, Window
from penstock.errors import SpecInvalid

Body = Mapping[str, Any]
Extra = Literal["ignore", "forbid"]
M = TypeVar("M", bound=KubeModel)
T = TypeVar("T")
U = TypeVar("U")


def parse_slo(body: Body, *, unknown: Extra = "ignore") -> Slo:
    """An SLO's body to its value.

    Args:
        body: the object as the API server returns it.
        unknown: "forbid" refuses unknown fields, as ``kubectl apply`` does.

    Raises:
        SpecInvalid: names the field and the remedy.
    """
    spec = validated(SLO, body, unknown).spec
    ref, generation, labels = _identity(body)
    return Slo(
        ref=ref,
        generation=generation,
        labels=labels,
        description=spec.description or "",
        objective=Objective.parse(spec.objective),
        window=_window(spec.window),
        budgeting=_budgeting(spec.budgeting),
        indicator=_indicator(spec.indicator),
        source=SourceRef(spec.source_ref.kind, spec.source_ref.name) if spec.source_ref else None,
        minimum_events=spec.minimum_events,
    )


def parse_rollout(body: Body, *, unknown: Extra = "ignore") -> rollouts.Rollout:
    """A Rollout's body to its value; arguments and errors as of ``parse_slo``."""
    spec = validated(RolloutModel, body, unknown).spec
    ref, generation, labels = _identity(body)
    workload = spec.workload_ref
    return rollouts.Rollout(
        ref=ref,
        generation=generation,
        labels=labels,
        workload=WorkloadRef(workload.api_version, workload.kind, workload.name),
        slos=tuple(slo.name for slo in spec.slos or ()),
        selector=_given(spec.slo_selector, _selector),
        mode=spec.mode,
        enforcement=rollouts.Enforcement(spec.enforcement.admission, spec.enforcement.in_flight),
        hold_reason=spec.hold.reason if spec.hold else None,
        on_external_resume=spec.on_external_resume,
        on_delete=spec.on_delete,
        policy=_policy(spec),
    )


def parse_metrics_source(body: Body, *, unknown: Extra = "ignore") -> sources.MetricsSource:
    """A MetricsSource's body to its value; arguments and errors as of ``parse_slo``."""
    model = validated(MetricsSource, body, unknown)
    return _source(model, body, SourceKind.METRICS_SOURCE)


def parse_cluster_metrics_source(body: Body, *, unknown: Extra = "ignore") -> sources.MetricsSource:
    """A ClusterMetricsSource's body to its value; arguments and errors as of ``parse_slo``."""
    model = validated(ClusterMetricsSource, body, unknown)
    return _source(model, body, SourceKind.CLUSTER_METRICS_SOURCE)


# What the API server itself looks after, and what we wrote ourselves.
_ENVELOPE = frozenset({"apiVersion", "kind", "metadata", "status"})


def validated(model: type[M], body: Body, unknown: Extra) -> M:
    """A body as its model, without its envelope and status; errors as of ``parse_slo``."""
    if not isinstance(body, Mapping):
        raise SpecInvalid("object", "write apiVersion, kind, metadata and spec")
    contents = {key: part for key, part in body.items() if key not in _ENVELOPE}
    try:
        return model.model_validate(contents, extra=unknown)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise SpecInvalid(_path(first["loc"]), _sentence(first)) from error


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part[:MAX_NAME]}"
    return path.removeprefix(".") or "spec"


# A name longer than any known field, given by mistake or on purpose, is not repeated whole.
MAX_NAME = 100
_PLAIN = {
    "missing": "is required",
    "extra_forbidden": "is not a known field; check its spelling",
    "model_type": "write an object with fields",
    "dict_type": "write an object with fields",
    "list_type": "write a list",
    "string_type": "write text, in quotes where YAML would read something else (5, true, Off)",
    "int_type": "write a whole number",
    "bool_type": "write true or false",
}


def _sentence(error: Any) -> str:
    message = _PLAIN.get(error["type"], error["msg"])
    return f"{message[0].lower()}{message[1:]}" if message.startswith("Input ") else message


def _identity(body: Body) -> tuple[ObjectRef, int, dict[str, str]]:
    metadata = body.get("metadata")
    if not isinstance(metadata, Mapping):
        raise SpecInvalid("metadata", "is required")
    labels, generation = metadata.get("labels"), metadata.get("generation")
    ref = ObjectRef(*(str(metadata.get(key) or "") for key in ("namespace", "name", "uid")))
    return (
        ref,
        generation if isinstance(generation, int) else 0,
        {str(k): str(v) for k, v in labels.items()} if isinstance(labels, Mapping) else {},
    )


def _given(value: T | None, read: Callable[[T], U]) -> U | None:
    return None if value is None else read(value)


def _window(spec: WindowSpec) -> Window:
    if spec.calendar is None:
        return RollingWindow(Duration.parse(spec.rolling or ""))
    zone_name = spec.calendar.time_zone
    if zone_name not in _zone_names():
        raise SpecInvalid(
            "spec.window.calendar.timeZone",
            f'"{zone_name}" is not an IANA time zone; write one such as "Europe/Berlin" or "UTC"',
        )
    return CalendarWindow(spec.calendar.period, ZoneInfo(zone_name), zone_name)


@cache
def _zone_names() -> frozenset[str]:
    """The names that every machine knows alike; asking the system would also accept "localtime"."""
    listed = files("tzdata").joinpath("zones").read_text(encoding="utf-8")
    return frozenset(listed.split()) - {"Factory"}


def _budgeting(spec: BudgetingSpec) -> Budgeting:
    if spec.method is BudgetingMethod.OCCURRENCES:
        return Occurrences()
    slice_ = Duration.parse(spec.slice or "")
    if spec.method is BudgetingMethod.RATIO_TIMESLICES:
        return RatioTimeslices(slice_)
    return Timeslices(slice_, Percentage.parse(spec.target or ""))


def _indicator(spec: IndicatorSpec) -> indicators.Indicator:
    path = "spec.indicator"
    if spec.ratio is not None:
        counted = (
            indicators.CountedEvents.GOOD
            if spec.ratio.bad is None
            else indicators.CountedEvents.BAD
        )
        events = spec.ratio.bad or spec.ratio.good or ""
        return indicators.RatioIndicator(
            counted,
            promql_validation.selector(f"{path}.ratio.{counted}", events, may_sum=True),
            promql_validation.selector(f"{path}.ratio.total", spec.ratio.total, may_sum=True),
        )
    if spec.latency is not None:
        return indicators.LatencyIndicator(
            promql_validation.histogram(f"{path}.latency.histogram", spec.latency.histogram),
            Duration.parse(spec.latency.threshold),
        )
    if spec.probe is not None:
        return indicators.ProbeIndicator(
            promql_validation.selector(f"{path}.probe.metric", spec.probe.metric)
        )
    if spec.query is not None:
        return indicators.QueryIndicator(
            promql_validation.expression(f"{path}.query.bad", spec.query.bad),
            promql_validation.expression(f"{path}.query.total", spec.query.total),
        )
    ratio = spec.raw_ratio.error_ratio if spec.raw_ratio else ""
    return indicators.RawRatioIndicator(
        promql_validation.expression(f"{path}.rawRatio.errorRatio", ratio)
    )


def _selector(spec: SLOSelectorSpec) -> rollouts.LabelSelector:
    return rollouts.LabelSelector(
        tuple(sorted((spec.match_labels or {}).items())),
        tuple(
            rollouts.LabelExpression(one.key, one.operator, frozenset(one.values or ()))
            for one in spec.match_expressions or ()
        ),
    )


def _policy(rollout: RolloutSpec) -> policies.Policy:
    spec = rollout.policy or PolicySpec()
    start, in_flight = spec.start or StartSpec(), spec.in_flight or InFlightSpec()
    resume, unknown = spec.resume or ResumeSpec(), spec.unknown or UnknownSpec()
    return policies.Policy(
        start=policies.StartPolicy(_given(start.hold_at, Percentage.parse)),
        in_flight=policies.InFlightPolicy(
            _given(in_flight.hold_at, Percentage.parse),
            _given(in_flight.while_burn_above, Decimal),
        ),
        burn=None if spec.burn is None else tuple(_burn_pair(pair) for pair in spec.burn),
        resume=policies.ResumePolicy(
            _given(resume.margin, Percentage.parse), _given(resume.calm, Duration.parse)
        ),
        outage=_unknown(unknown.outage),
        thin=_unknown(unknown.thin),
    )


def _burn_pair(spec: BurnPairSpec) -> policies.BurnPair:
    return policies.BurnPair(
        Duration.parse(spec.long),
        Duration.parse(spec.short),
        Decimal(spec.factor),
        spec.minimum_bad_events,
    )


def _unknown(spec: OutageSpec | ThinSpec | None) -> policies.UnknownPolicy:
    if spec is None:
        return policies.UnknownPolicy()
    return policies.UnknownPolicy(_given(spec.keep_last, Duration.parse), spec.then)


def _source(
    model: MetricsSource | ClusterMetricsSource, body: Body, kind: SourceKind
) -> sources.MetricsSource:
    spec = model.spec
    ref, generation, _ = _identity(body)
    return sources.MetricsSource(
        ref=ref,
        generation=generation,
        kind=kind,
        url=spec.url,
        auth=_given(spec.auth, _auth),
        tls=_tls(spec.tls or TlsSpec()),
        headers=tuple(_header(header) for header in spec.headers or ()),
        timeout=Duration.parse(spec.timeout),
        freshness=Duration.parse(spec.freshness),
        dialect=spec.dialect or sources.Dialect.PROMETHEUS,
        replica_label=spec.replica_label,
    )


def _auth(spec: AuthSpec | ClusterAuthSpec) -> sources.Auth | None:
    if spec.basic is not None:
        return sources.BasicAuth(spec.basic.username, _secret(spec.basic.password_ref))
    if spec.bearer is not None:
        return sources.BearerAuth(_secret(spec.bearer.token_ref))
    if spec.oauth2 is not None:
        client = spec.oauth2
        return sources.OAuth2Auth(
            client.token_url,
            client.client_id,
            _secret(client.client_secret_ref),
            tuple(client.scopes or ()),
        )
    token_file = getattr(spec, "token_file", None)
    return sources.TokenFileAuth(token_file) if token_file else None


def _tls(spec: TlsSpec) -> sources.Tls:
    certificate = spec.client_certificate_ref
    return sources.Tls(
        ca=_given(spec.ca_ref, _secret),
        client_certificate=certificate.name if certificate else None,
        server_name=spec.server_name,
    )


def _header(spec: HeaderSpec) -> sources.Header:
    if spec.value_from is not None:
        return sources.Header(spec.name, _secret(spec.value_from))
    return sources.Header(spec.name, spec.value or "")


def _secret(spec: SecretKey) -> SecretKeyRef:
    return SecretKeyRef(spec.name, spec.key)
