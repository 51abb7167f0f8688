"""Hypothesis strategies for manifests, made from the models' own field definitions.

A walk over each model's fields yields its lists, enums, bounds and optional members; a text with
rules is one of many sample texts that its own rules accept. Only what no field definition says is
written here: which members exclude each other, and what PromQL or a time zone looks like.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import product
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from penstock.api import policy, rollout, slo, source
from penstock.api.base import Checked, KubeModel, Rule
from penstock.api.field_types import Text
from penstock.api.kinds import API_VERSION, KINDS
from penstock.domain.quantities import Duration, plain

Json = Any

DURATIONS = [
    *(f"{n}{unit}" for n, unit in product((1, 2, 5, 7, 10, 15, 30, 45, 60, 90), "wdhms")),
    *("0s", "1h30m", "1w2d3h4m5s", "12w6d", "1m30s", "00000007d", "24h", "168h", "86400s", "0h5m"),
    *("300ms", "1s500ms", "50ms", "1h0ms", "999ms"),
]
PERCENTAGES = [
    *("0%", "0.000001%", "0.5%", "1%", "5%", "10%", "12.5%", "50%", "50.000001%", "90%", "95%"),
    *("99%", "99.5%", "99.9%", "99.95%", "99.99%", "99.999999%", "99.900000%", "100%", "100.0%"),
]
DECIMALS = ["0", "0.000001", "0.5", "1", "1.0", "6", "14.4", "100", "999999.999999"]
NAMES = ["a", "checkout", "checkout-availability", "prometheus.example.com", "0", "x" * 253]
LABEL_KEYS = ["service", "app.kubernetes.io/name", "Tier", "a_b.c-d", f"{'a' * 253}/{'b' * 63}"]
SAMPLES = [
    *DURATIONS,
    *PERCENTAGES,
    *DECIMALS,
    *NAMES,
    *LABEL_KEYS,
    *("http://prometheus:9090", "https://[::1]:9090/api/prom", "https://a.example.com/b%20c?d"),
    *("https://prometheus.example.com", "http://10.0.0.1/"),
    *("apps/v1", "v1", "argoproj.io/v1alpha1", "Deployment", "Rollout", "Canary", "A1"),
    *("/etc/penstock/tokens/a", "/etc/penstock/tokens/b.c/d"),
    *("/etc/penstock/tokens/-/_", "X-Scope-OrgID", "X", "team a"),
    *("sum(increase(errors_total[$window]))", "slo:ratio$window", "$window", "é$window\n"),
    *("2026-11-24T10:00:00Z", "2028-02-29T23:59:59.999999999Z", "1970-01-01T00:00:00.5Z"),
]
SELECTORS = st.sampled_from(
    [
        "up",
        'http_requests_total{service="checkout",code=~"5.."}',
        '{__name__="errors_total"}',
        "slo:errors:rate5m{}",
        "(up)",
        'up{a!="", b!~"x|y", c=\'d\',}',
        ' {"metric.with.dots", "label.name"="é"} ',
    ]
)
SUMS = SELECTORS | SELECTORS.map("sum by (code) ({})".format) | SELECTORS.map("sum({})".format)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "GMT"])

# What a text means beyond its bounds, which only the parser knows.
MEANINGS: dict[tuple[type[KubeModel], str], st.SearchStrategy[str]] = {
    (slo.CalendarSpec, "time_zone"): ZONES,
    (slo.RatioSpec, "bad"): SUMS,
    (slo.RatioSpec, "good"): SUMS,
    (slo.RatioSpec, "total"): SUMS,
    (slo.LatencySpec, "histogram"): SELECTORS,
    (slo.ProbeSpec, "metric"): SELECTORS,
}


@cache
def bodies(kind: str) -> st.SearchStrategy[dict[str, Json]]:
    """Whole manifests of one kind, as the API server accepts them; without a status."""
    model = next(frame.model for frame in KINDS if frame.kind == kind)
    part = next(name for name in model.model_fields if name != "status")
    envelope = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "generated"}}
    annotation = model.model_fields[part].annotation
    return _values(annotation, ()).map(lambda contents: {**envelope, part: contents})


@cache
def manifests(model: type[KubeModel]) -> st.SearchStrategy[dict[str, Json]]:
    """Manifests of one model, in camelCase; optional members come and go."""
    required = {n: f for n, f in model.model_fields.items() if f.is_required()}
    optional = {n: f for n, f in model.model_fields.items() if not f.is_required()}
    drawn = st.fixed_dictionaries(
        {_alias(field): _field(model, name, field) for name, field in required.items()},
        optional={_alias(field): _field(model, name, field) for name, field in optional.items()},
    )
    for shape in (shape for base, shape in SHAPES.items() if issubclass(model, base)):
        drawn = shape(model, drawn)
    return drawn


def _alias(field: FieldInfo) -> str:
    assert field.alias is not None
    return field.alias


def _field(model: type[KubeModel], name: str, field: FieldInfo) -> st.SearchStrategy[Json]:
    meaning = MEANINGS.get((model, name))
    return _values(field.annotation, tuple(field.metadata)) if meaning is None else meaning


def _values(annotation: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[Json]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(arguments[0], (*_flat(arguments[1:]), *metadata))
    if origin in (Union, types.UnionType):
        (given,) = (part for part in arguments if part is not types.NoneType)
        return _values(given, metadata)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return _lists(arguments[0], metadata)
    if origin is dict:
        return _maps(arguments[1], metadata)
    return _plain(annotation, metadata)


def _flat(metadata: tuple[Any, ...]) -> list[Any]:
    """A ``Field(...)`` inside ``Annotated`` carries bounds of its own."""
    flat: list[Any] = []
    for one in metadata:
        flat += one.metadata if isinstance(one, FieldInfo) else [one]
    return flat


def _plain(kind: type, metadata: tuple[Any, ...]) -> st.SearchStrategy[Json]:
    if issubclass(kind, KubeModel):
        return manifests(kind)
    if issubclass(kind, Enum):
        return st.sampled_from([member.value for member in kind])
    if kind is bool:
        return st.booleans()
    if kind is int:
        least = next((one.ge for one in metadata if isinstance(one, Ge)), 0)
        most = next((one.le for one in metadata if isinstance(one, Le)), 2**31)
        return st.integers(least, most)
    assert kind is str, f"no strategy for {kind}"
    text = next((one for one in metadata if isinstance(one, Text)), Text((), 40))
    return texts(text)


def texts(text: Text) -> st.SearchStrategy[str]:
    """Texts within the bounds that all rules accept."""
    if text.rules:
        return _ruled_texts(text.rules, text.longest)
    free = st.text(min_size=text.shortest, max_size=min(text.longest, 40))
    return st.one_of(*[free] * 7, st.just("é" * text.longest))


@cache
def _ruled_texts(rules: tuple[Rule, ...], longest: int) -> st.SearchStrategy[str]:
    def accepted(text: str) -> bool:
        return len(text) <= longest and all(
            rule.holds is None or rule.holds(text) for rule in rules
        )

    samples = [text for text in SAMPLES if accepted(text)]
    assert len(samples) >= 3, f"too few samples for: {rules[0].message}"
    tried = st.builds(
        lambda text, sample: text if accepted(text) else sample, _numbers(), _of(samples)
    )
    return st.sampled_from(samples) | tried


def _numbers() -> st.SearchStrategy[str]:
    lengths = st.integers(0, 2**33).map(Duration).map(str)
    shares = st.integers(0, 10**8).map(lambda millionths: plain(Decimal(millionths) / 10**6))
    return lengths | shares | shares.map("{}%".format)


def _of(samples: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(samples)


def _lists(item: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[list[Json]]:
    most = next((one.max_length for one in metadata if isinstance(one, MaxLen)), 3)
    few = st.lists(_values(item, ()), max_size=min(most, 3))
    rules = [rule for one in metadata if isinstance(one, Checked) for rule in one.rules]
    return few.map(_each_name_once) if rules else few


def _each_name_once(items: list[Json]) -> list[Json]:
    return list({item["name"]: item for item in items}.values())


def _maps(value: Any, metadata: tuple[Any, ...]) -> st.SearchStrategy[dict[str, Json]]:
    if value is Any:
        return st.dictionaries(st.text(max_size=5), junk(), max_size=3)
    return st.dictionaries(st.sampled_from(LABEL_KEYS), _values(value, ()), max_size=3)


def junk() -> st.SearchStrategy[Json]:
    """Any JSON at all."""
    numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | numbers | st.text()
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
    )


# Which members fit together. Each takes a strategy and gives one whose objects keep the rules.
Shape = Callable[[type[KubeModel], st.SearchStrategy[dict[str, Json]]], st.SearchStrategy[Json]]


def _one_of(*names: str, none: bool = False) -> Shape:
    def shape(
        model: type[KubeModel], drawn: st.SearchStrategy[dict[str, Json]]
    ) -> st.SearchStrategy[Json]:
        members = {n: f for n, f in model.model_fields.items() if n in names}
        kept = [
            st.fixed_dictionaries({_alias(field): _field(model, name, field)})
            for name, field in members.items()
        ]
        aliases = {_alias(field) for field in members.values()}
        others = drawn.map(lambda given: {k: v for k, v in given.items() if k not in aliases})
        chosen = st.one_of(*kept, *([st.just({})] if none else []))
        return st.builds(lambda rest, one: {**rest, **one}, others, chosen)

    return shape


def _mended(mend: Callable[[dict[str, Json]], dict[str, Json]]) -> Shape:
    return lambda _, drawn: drawn.map(mend)


def _with_slices(spec: dict[str, Json]) -> dict[str, Json]:
    method = spec.get("method", "Occurrences")
    kept = {"method": method} if "method" in spec else {}
    if method != "Occurrences":
        kept["slice"] = spec.get("slice", "5m")
    if method == "Timeslices":
        kept["target"] = spec.get("target", "95%")
    return kept


def _whole_slices(spec: dict[str, Json]) -> dict[str, Json]:
    length, rolling = spec.get("budgeting", {}).get("slice"), spec["window"].get("rolling")
    if length is None or rolling is None:
        return spec
    whole = Duration.parse(rolling).milliseconds % Duration.parse(length).milliseconds == 0
    return spec if whole else {**spec, "window": {"rolling": "30d"}}


def _longer_long(pair: dict[str, Json]) -> dict[str, Json]:
    short, long = sorted((pair["short"], pair["long"]), key=Duration.parse)
    if Duration.parse(short) == Duration.parse(long):
        short, long = "5m", "1h"
    return {**pair, "short": short, "long": long}


def _resumable(spec: dict[str, Json]) -> dict[str, Json]:
    resume = spec.get("resume", {})
    held_at = [spec.get(part, {}).get("holdAt", "0%") for part in ("start", "inFlight")]
    left = 100 - max(Decimal(text[:-1]) for text in held_at)
    if Decimal(resume.get("margin", "0%")[:-1]) <= left:
        return spec
    return {**spec, "resume": {**resume, "margin": f"{plain(left)}%"}}


def _with_values(expression: dict[str, Json]) -> dict[str, Json]:
    others = {key: value for key, value in expression.items() if key != "values"}
    if expression["operator"] in ("In", "NotIn"):
        return {**others, "values": expression.get("values") or ["gold"]}
    return others


def _some_label(selector: dict[str, Json]) -> dict[str, Json]:
    return selector if any(selector.values()) else {"matchLabels": {"service": "checkout"}}


def _some_slo(spec: dict[str, Json]) -> dict[str, Json]:
    named = spec.get("slos") or "sloSelector" in spec
    return spec if named else {**spec, "slos": [{"name": "checkout-availability"}]}


def _https_for_tls(spec: dict[str, Json]) -> dict[str, Json]:
    if not spec.get("tls") or spec["url"].startswith("https://"):
        return spec
    return {**spec, "url": spec["url"].replace("http://", "https://", 1)}


def _thanos_for_replicas(spec: dict[str, Json]) -> dict[str, Json]:
    return {**spec, "dialect": "Thanos"} if "replicaLabel" in spec else spec


SHAPES: dict[type[KubeModel], Shape] = {
    slo.WindowSpec: _one_of("rolling", "calendar"),
    slo.BudgetingSpec: _mended(_with_slices),
    slo.RatioSpec: _one_of("bad", "good"),
    slo.IndicatorSpec: _one_of("ratio", "latency", "probe", "query", "raw_ratio"),
    slo.SLOSpec: _mended(_whole_slices),
    rollout.LabelExpressionSpec: _mended(_with_values),
    rollout.SLOSelectorSpec: _mended(_some_label),
    rollout.RolloutSpec: _mended(_some_slo),
    policy.BurnPairSpec: _mended(_longer_long),
    policy.PolicySpec: _mended(_resumable),
    source.HeaderSpec: _one_of("value", "value_from"),
    source.AuthSpec: _one_of("basic", "bearer", "oauth2", "token_file", none=True),
    source._SourceSpec: _mended(lambda spec: _thanos_for_replicas(_https_for_tls(spec))),
}
