"""Models become structural schemas, or are refused with the reason; ``crds/`` is what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import yaml
from pydantic import Field, create_model

from penstock.api.base import KubeModel
from penstock.api.crds import drift, files, main, manifest
from penstock.api.kinds import GROUP, KINDS
from penstock.api.schema import Schema, SchemaError, structural
from support.manifests import ROOT
from support.schema_rules import SchemaRule, bare_schema, schema_rules

FOLDER = ROOT / "crds"


class Bounded(KubeModel):
    """A part that can be said."""

    name: Annotated[str, Field(max_length=10)]
    """Its name."""


class Recursive(KubeModel):
    """Contains itself."""

    inner: Recursive | None = None
    """Itself."""


def kind_with(annotation: Any, default: Any = ..., part: str = "spec") -> type[KubeModel]:
    """A kind whose spec (or status) has one field of this type."""
    inner = create_model("Inner", __base__=KubeModel, field=(annotation, default))
    return create_model("Kind", __base__=KubeModel, **{part: (inner, ...)})


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (Bounded | Annotated[str, Field(max_length=5)], "union"),
        (int | bool, "union"),
        (tuple[int, int], "tuple"),
        (Annotated[set[int], Field(max_length=3)], "tuple or a set"),
        (Recursive, "contains itself"),
        (str, "a string without a bound"),
        (str | None, "a string without a bound"),
        (list[int], "an? array without a bound"),
        (Annotated[list[str], Field(max_length=3)], r"spec.field\[\]: a string without a bound"),
        (dict[str, int], "a map without a bound"),
        (Annotated[dict[str, str], Field(max_length=3)], r"spec.field.\*: a string without"),
        (Any, "no type"),
    ],
)
def test_what_no_structural_schema_can_say_is_refused(annotation: Any, reason: str) -> None:
    with pytest.raises(SchemaError, match=reason):
        structural(kind_with(annotation))


def test_a_status_is_not_bounded_and_has_no_default() -> None:
    assert structural(kind_with(str, part="status"))["properties"]["status"]
    with pytest.raises(SchemaError, match="a status with defaults"):
        structural(kind_with(int, 5, part="status"))


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (Annotated[str, Field(max_length=5)], ..., {"type": "string", "maxLength": 5}),
        (Annotated[str, Field(max_length=5)] | None, None, {"type": "string", "maxLength": 5}),
        (Literal["A"], ..., {"type": "string", "enum": ["A"]}),
        (Literal["A", "B"], "B", {"type": "string", "enum": ["A", "B"], "default": "B"}),
        (Annotated[int, Field(ge=1, le=3)], ..., {"type": "integer", "minimum": 1, "maximum": 3}),
        (
            Bounded,
            Bounded(name="a"),
            {
                "type": "object",
                "description": "A part that can be said.",
                "default": {"name": "a"},
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 10, "description": "Its name."}
                },
            },
        ),
    ],
)
def test_a_field_becomes_just_what_a_structural_schema_knows(
    annotation: Any, default: Any, expected: Schema
) -> None:
    schema = structural(kind_with(annotation, default))
    assert schema["properties"]["spec"]["properties"]["field"] == expected


@pytest.mark.parametrize("name", ["exclusiveMinimum", "pattern", "title", "nullable", "$ref"])
def test_no_definition_has_what_the_server_refuses_or_people_cannot_read(name: str) -> None:
    for text in files().values():
        assert f"{name}:" not in text


def test_the_files_in_crds_are_what_the_models_say() -> None:
    assert drift(FOLDER) == []
    assert main(["--check", str(FOLDER)]) == 0


def test_drift_is_reported_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--write", str(tmp_path)])
    assert main(["--check", str(tmp_path)]) == 0
    (tmp_path / "slos.yaml").write_text("kind: Other\n")
    (tmp_path / "rollouts.yaml").unlink()
    (tmp_path / "gates.yaml").write_text("kind: Gate\n")
    assert main(["--check", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "gates.yaml, rollouts.yaml, slos.yaml differ" in message
    assert "make crds" in message


def test_the_files_hold_what_is_sent_to_the_server() -> None:
    for frame in KINDS:
        assert yaml.safe_load(files()[f"{frame.plural}.yaml"]) == manifest(frame)
        assert "&id" not in files()[f"{frame.plural}.yaml"]


def test_short_names_collide_with_no_other_tool() -> None:
    """Argo has ro, Pyrra and SloK slo, Sloth psl and pslo."""
    assert {frame.short for frame in KINDS} == {"gslo", "gro", None}


def defaults_in(node: Schema, path: str) -> list[str]:
    found = [path] if "default" in node else []
    for name, child in node.get("properties", {}).items():
        found += defaults_in(child, f"{path}.{name}")
    return found + (defaults_in(node["items"], f"{path}[]") if "items" in node else [])


def test_no_default_is_written_into_a_policy_or_a_status() -> None:
    """A default in every stored object could never be improved."""
    found = [path for frame in KINDS for path in defaults_in(structural(frame.model), frame.kind)]
    assert found
    assert not [path for path in found if ".policy" in path or ".status" in path]


RULES = [demand for demand in schema_rules() if demand.rule]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rules_message_names_its_field_first_and_then_the_remedy(rule: SchemaRule) -> None:
    named, colon, remedy = rule.text.partition(": ")
    place = rule.about.replace("[]", "").removesuffix(".*")
    assert colon
    assert place.endswith(named) or is_below(rule, named), f"{named} is not {place}"
    assert any(word in remedy for word in ("write", "give", "name", "cannot be changed"))
    assert "\n" not in rule.text


def is_below(rule: SchemaRule, named: str) -> bool:
    """A rule on several fields stands at their parent and names the one to change."""
    node: Schema = bare_schema(rule.frame)["properties"]["spec"]
    for name in named.split("."):
        node = node.get("properties", {}).get(name, {})
    return bool(node)


def test_every_group_name_is_ours() -> None:
    assert {yaml.safe_load(text)["spec"]["group"] for text in files().values()} == {GROUP}
