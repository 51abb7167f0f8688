"""Bodies become values of the core, or a refusal that names the field and the remedy."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from penstock.api.parse import (
    parse_cluster_metrics_source,
    parse_metrics_source,
    parse_rollout,
    parse_slo,
)
from penstock.domain.indicator import (
    CountedEvents,
    Indicator,
    QueryIndicator,
    RawRatioIndicator,
)
from penstock.domain.metrics_source import (
    Auth,
    BasicAuth,
    BearerAuth,
    Header,
    MetricsSource,
    OAuth2Auth,
    Tls,
    TokenFileAuth,
)
from penstock.domain.policy import (
    BurnPair,
    InFlightPolicy,
    Policy,
    ResumePolicy,
    StartPolicy,
    UnknownPolicy,
    UnknownThen,
)
from penstock.domain.quantities import Duration, Objective, Percentage
from penstock.domain.refs import ObjectRef, SecretKeyRef, WorkloadRef
from penstock.domain.rollout import (
    Admission,
    Enforcement,
    InFlight,
    LabelExpression,
    LabelSelector,
    Mode,
    OnDelete,
    OnExternalResume,
    Operator,
    Rollout,
)
from penstock.domain.slo import (
    Budgeting,
    Occurrences,
    RatioTimeslices,
    Slo,
    SourceKind,
    SourceRef,
    Timeslices,
)
from penstock.domain.window import CalendarWindow, Period, RollingWindow
from penstock.errors import SpecInvalid
from support.indicators import latency, probe, ratio
from support.manifests import right

Body = dict[str, Any]
METADATA = {
    **{"namespace": "shop", "name": "checkout", "uid": "u-1", "generation": 3},
    "labels": {"service": "checkout"},
}
REF = ObjectRef("shop", "checkout", "u-1")


def body(example: str) -> Body:
    found = next(one.body for one in right() if one.name == example)
    return {**copy.deepcopy(found), "metadata": METADATA}


def with_spec(example: str, **fields: Any) -> Body:
    changed = body(example)
    changed["spec"].update(fields)
    return changed


def test_a_whole_slo_becomes_its_value() -> None:
    assert parse_slo(body("slo-complete")) == Slo(
        ref=REF,
        generation=3,
        labels={"service": "checkout"},
        description="Checkout answers without a server error",
        objective=Objective(Percentage(Decimal("99.9"))),
        window=RollingWindow(Duration.parse("30d")),
        budgeting=Occurrences(),
        indicator=ratio(
            'http_requests_total{service="checkout",code=~"5.."}',
            'http_requests_total{service="checkout"}',
        ),
        source=SourceRef(SourceKind.METRICS_SOURCE, "default"),
        minimum_events=100,
    )


@pytest.mark.parametrize(
    ("example", "indicator"),
    [
        (
            "slo-ratio-of-good",
            ratio('http_requests_total{code!~"5.."}', "http_requests_total", CountedEvents.GOOD),
        ),
        (
            "slo-latency",
            latency('http_request_duration_seconds_bucket{service="checkout"}', "300ms"),
        ),
        ("slo-probe", probe('probe_success{job="checkout"}')),
        (
            "slo-query",
            QueryIndicator(
                "sum(increase(errors_total[$window]))", "sum(increase(requests_total[$window]))"
            ),
        ),
        (
            "slo-raw-ratio",
            RawRatioIndicator('slo:sli_error:ratio_rate$window{service="checkout"}'),
        ),
    ],
)
def test_each_kind_of_indicator_becomes_its_value(example: str, indicator: Indicator) -> None:
    assert parse_slo(body(example)).indicator == indicator


@pytest.mark.parametrize(
    ("example", "budgeting"),
    [
        ("slo-timeslices", Timeslices(Duration.parse("1m"), Percentage.parse("95%"))),
        ("slo-ratio-timeslices", RatioTimeslices(Duration.parse("5m"))),
        ("slo-probe", Occurrences()),
    ],
)
def test_each_method_of_budgeting_becomes_its_value(example: str, budgeting: Budgeting) -> None:
    assert parse_slo(body(example)).budgeting == budgeting


def test_a_calendar_window_comes_with_its_zone_resolved() -> None:
    window = parse_slo(body("slo-calendar-week")).window
    assert window == CalendarWindow(Period.WEEK, ZoneInfo("Europe/Berlin"), "Europe/Berlin")
    in_utc = parse_slo(body("slo-calendar-year-of-utc")).window
    assert in_utc == CalendarWindow(Period.YEAR, ZoneInfo("UTC"), "UTC")


def test_what_an_slo_leaves_out_is_what_the_schema_would_write() -> None:
    slo = parse_slo(body("slo-nulls-are-absent-fields"))
    assert slo == parse_slo(with_spec("slo-nulls-are-absent-fields", minimumEvents=0))
    assert (slo.description, slo.source, slo.minimum_events) == ("", None, 0)
    assert slo.budgeting == Occurrences()


def test_a_whole_rollout_becomes_its_value() -> None:
    assert parse_rollout(body("rollout-complete")) == Rollout(
        ref=REF,
        generation=3,
        labels={"service": "checkout"},
        workload=WorkloadRef("apps/v1", "Deployment", "checkout"),
        slos=("checkout-availability",),
        selector=LabelSelector((("service", "checkout"),)),
        mode=Mode.ENFORCE,
        enforcement=Enforcement(Admission.DENY, InFlight.HOLD),
        hold_reason="database migration",
        on_external_resume=OnExternalResume.RESPECT,
        on_delete=OnDelete.RELEASE,
        policy=Policy(
            start=StartPolicy(Percentage(Decimal(0))),
            in_flight=InFlightPolicy(Percentage(Decimal(0)), Decimal(1)),
            burn=(
                BurnPair(Duration.parse("1h"), Duration.parse("5m"), Decimal("14.4"), 5),
                BurnPair(Duration.parse("6h"), Duration.parse("30m"), Decimal(6), None),
            ),
            resume=ResumePolicy(Percentage(Decimal(1)), Duration.parse("10m")),
            outage=UnknownPolicy(Duration.parse("5m"), UnknownThen.HOLD),
            thin=UnknownPolicy(Duration(0), UnknownThen.PERMIT),
        ),
    )


def test_what_a_policy_leaves_out_stays_open_for_the_core_to_decide() -> None:
    rollout = parse_rollout(body("rollout-minimal"))
    assert rollout.policy == Policy()
    assert (rollout.selector, rollout.hold_reason) == (None, None)
    assert rollout.enforcement == Enforcement(Admission.DENY, InFlight.HOLD)


def test_an_empty_list_of_burn_pairs_is_not_the_same_as_none() -> None:
    assert parse_rollout(body("rollout-without-burn-pairs")).policy.burn == ()


def test_expressions_of_a_selector_become_their_values() -> None:
    selector = parse_rollout(body("rollout-selector-expressions")).selector
    assert selector == LabelSelector(
        (),
        (
            LabelExpression("tier", Operator.IN, frozenset({"gold", "silver"})),
            LabelExpression("team", Operator.NOT_IN, frozenset({"sandbox"})),
            LabelExpression("example.com/service", Operator.EXISTS),
            LabelExpression("deprecated", Operator.DOES_NOT_EXIST),
        ),
    )


def test_a_whole_source_becomes_its_value_with_secrets_by_name_only() -> None:
    assert parse_metrics_source(body("source-complete")) == MetricsSource(
        ref=REF,
        generation=3,
        kind=SourceKind.METRICS_SOURCE,
        url="https://prometheus.monitoring:9090/tenant/a",
        auth=BasicAuth("penstock", SecretKeyRef("prometheus", "password")),
        tls=Tls(
            SecretKeyRef("prometheus-ca", "ca.crt"), "prometheus-client", "prometheus.example.com"
        ),
        headers=(
            Header("X-Scope-OrgID", "team-a"),
            Header("X-Tenant", SecretKeyRef("tenant", "id")),
        ),
        timeout=Duration.parse("8s"),
        freshness=Duration.parse("2m"),
    )


@pytest.mark.parametrize(
    ("example", "auth"),
    [
        ("source-bearer", BearerAuth(SecretKeyRef("prometheus", "token"))),
        (
            "source-oauth2",
            OAuth2Auth(
                "https://login.example.com/oauth2/token",
                "penstock",
                SecretKeyRef("prometheus", "client-secret"),
                ("metrics.read",),
            ),
        ),
        ("source-minimal", None),
        ("source-auth-empty", None),
    ],
)
def test_each_way_of_authentication_becomes_its_value(example: str, auth: Auth | None) -> None:
    assert parse_metrics_source(body(example)).auth == auth


def test_only_a_cluster_wide_source_reads_a_token_from_a_file() -> None:
    source = parse_cluster_metrics_source(body("cluster-source-token-file"))
    assert source.kind is SourceKind.CLUSTER_METRICS_SOURCE
    assert source.auth == TokenFileAuth("/etc/penstock/tokens/thanos/token")
    as_namespaced = parse_metrics_source(body("cluster-source-token-file"))
    assert as_namespaced.auth is None


@pytest.mark.parametrize(
    ("spec", "path", "problem"),
    [
        ({"objective": None}, "spec.objective", "is required"),
        ({"objective": 99.9}, "spec.objective", "write text, in quotes where YAML would read"),
        ({"objective": "99.9"}, "spec.objective", "objective: write a percentage as text"),
        ({"objective": "9" * 17}, "spec.objective", "String should have at most 16 characters"),
        ({"window": "30d"}, "spec.window", "write an object with fields"),
        ({"window": {}}, "spec.window", "window: give exactly one of rolling and calendar"),
        ({"minimumEvents": "5"}, "spec.minimumEvents", "write a whole number"),
        ({"minimumEvents": -1}, "spec.minimumEvents", "greater than or equal to 0"),
        (
            {"window": {"calendar": {"period": "Day"}}},
            "spec.window.calendar.period",
            "input should be 'Week', 'Month', 'Quarter' or 'Year'",
        ),
        (
            {"window": {"calendar": {"period": "Week", "timeZone": "Mars"}}},
            "spec.window.calendar.timeZone",
            '"Mars" is not an IANA time zone; write one such as "Europe/Berlin" or "UTC"',
        ),
        (
            {"indicator": {"ratio": {"bad": "rate(a[5m])", "total": "b"}}},
            "spec.indicator.ratio.bad",
            "this is a selector with a range",
        ),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(spec: Body, path: str, problem: str) -> None:
    with pytest.raises(SpecInvalid) as refusal:
        parse_slo(with_spec("slo-probe", **spec))
    assert refusal.value.path == path
    assert problem in refusal.value.problem
    assert str(refusal.value) == f"{path}: {refusal.value.problem}"


def test_a_path_counts_items_as_the_server_does() -> None:
    with pytest.raises(SpecInvalid) as refusal:
        parse_rollout(with_spec("rollout-minimal", slos=[{"name": "a"}, {"name": "B"}]))
    assert refusal.value.path == "spec.slos[1].name"


@pytest.mark.parametrize(
    ("parse", "example", "part"),
    [(parse_slo, "slo-probe", "window"), (parse_rollout, "rollout-complete", "policy")],
)
def test_an_unknown_field_is_passed_over_unless_it_is_forbidden(
    parse: Any, example: str, part: str
) -> None:
    """A stored object may have been written for a newer version of us."""
    newer = body(example)
    newer["spec"][part]["novelty"] = None
    assert parse(newer) == parse(body(example))
    with pytest.raises(SpecInvalid) as refusal:
        parse(newer, unknown="forbid")
    assert refusal.value.path == f"spec.{part}.novelty"
    assert refusal.value.problem == "is not a known field; check its spelling"


def test_a_status_of_any_kind_is_not_the_parsers_business() -> None:
    assert parse_slo(body("slo-probe") | {"status": 5}, unknown="forbid")


def test_an_object_without_metadata_is_refused() -> None:
    with pytest.raises(SpecInvalid, match="metadata: is required"):
        parse_slo({"spec": body("slo-probe")["spec"]})


def test_a_body_of_another_kind_than_a_mapping_is_refused() -> None:
    not_a_body: Any = ["spec"]
    with pytest.raises(SpecInvalid, match="write apiVersion, kind, metadata and spec"):
        parse_slo(not_a_body)
