"""Every single demand of our schemas - a CEL rule, a bound, an enum, a required field - and the
schemas that lack just one of them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.api.base import VALIDATIONS
from penstock.api.kinds import KINDS, KindSpec
from penstock.api.schema import Schema, structural

BOUNDS = (
    *("minLength", "maxLength", "minItems", "maxItems", "maxProperties", "minimum", "maximum"),
    *("enum", "format"),
)


@dataclass(frozen=True)
class SchemaRule:
    """One demand of one kind's schema.

    Attributes:
        frame: the kind.
        way: keys from the schema's root to the node that says it.
        keyword: what says it.
        index: which rule, or which required field, of the node.
        about: the field that a refusal names, as ``spec.slos[].name``.
        rule: the CEL, of a rule.
        text: the rule's sentence, or the bound's value.
    """

    frame: KindSpec
    way: tuple[str, ...]
    keyword: str
    index: int
    about: str
    text: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.frame.kind} {self.about} {self.keyword} {self.text}"

    def removed_from(self, schema: Schema) -> Schema:
        """The schema without it."""
        changed = copy.deepcopy(schema)
        node = changed
        for key in self.way:
            node = node[key]
        if self.keyword in (VALIDATIONS, "required"):
            del node[self.keyword][self.index]
            if not node[self.keyword]:
                del node[self.keyword]
        else:
            del node[self.keyword]
        return changed


def schema_rules() -> list[SchemaRule]:
    """All demands on what people write; a status is written by us alone."""
    return [demand for frame in KINDS for demand in _of(frame, bare_schema(frame), (), "")]


def bare_schema(frame: KindSpec) -> Schema:
    """A kind's schema without its texts and its status, to fit many into one definition."""
    schema: Schema = _without_descriptions(structural(frame.model))
    schema["properties"].pop("status", None)
    return schema


def _without_descriptions(node: Any) -> Any:
    """A description is text; a field of that name is a schema."""
    if isinstance(node, list):
        return [_without_descriptions(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_descriptions(value)
        for key, value in node.items()
        if not (key == "description" and isinstance(value, str))
    }


def _of(frame: KindSpec, node: Schema, way: tuple[str, ...], about: str) -> Iterator[SchemaRule]:
    for index, rule in enumerate(node.get(VALIDATIONS, [])):
        yield SchemaRule(frame, way, VALIDATIONS, index, about, rule["message"], rule["rule"])
    for index, name in enumerate(node.get("required", [])):
        yield SchemaRule(frame, way, "required", index, f"{about}.{name}".lstrip("."), "")
    for keyword in BOUNDS:
        if keyword in node:
            yield SchemaRule(frame, way, keyword, 0, about, str(node[keyword]))
    for name, child in node.get("properties", {}).items():
        yield from _of(frame, child, (*way, "properties", name), f"{about}.{name}".lstrip("."))
    if "items" in node:
        yield from _of(frame, node["items"], (*way, "items"), f"{about}[]")
    if isinstance(node.get("additionalProperties"), dict):
        inner = node["additionalProperties"]
        yield from _of(frame, inner, (*way, "additionalProperties"), f"{about}.*")


def concerns(demand: SchemaRule, at: str) -> bool:
    """Whether a refusal at this field, as ``spec.slos[3].name``, may be by this demand."""
    form = re.escape(demand.about).replace(r"\[\]", r"\[\d+\]").replace(r"\.\*", r"\.[^.]+")
    return re.fullmatch(form, at) is not None
