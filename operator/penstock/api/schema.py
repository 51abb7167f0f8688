"""Turns a pydantic model into a structural OpenAPI v3 schema as ``apiextensions.k8s.io/v1`` wants
it.

Refuses what such a schema cannot say (unions, tuples, recursion) and what would let an object grow
without bound, instead of emitting something that the API server rejects or that is too costly for
its CEL budget.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from penstock.api.base import VALIDATIONS, KubeModel

Schema = dict[str, Any]

_KEPT = frozenset(
    {
        "type", "description", "default", "format", "enum", "pattern", "required",
        "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "maxProperties",
    }
)  # fmt: skip
_BOUND = {"string": ("maxLength", "enum"), "array": ("maxItems",)}


class SchemaError(TypeError):
    """A model says something that a custom resource's schema cannot."""


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: Any) -> Any:
        """A nested model's default, written out: the server checks rules against it as it
        stands.
        """
        return dft.dump() if isinstance(dft, KubeModel) else super().encode_default(dft)


def structural(model: type[KubeModel]) -> Schema:
    """The schema of a whole kind: spec (or data) bounded, status not defaulted.

    Raises:
        SchemaError: the model cannot be said as a structural schema, or has no bound.
    """
    root = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    schema = _node(root, root.get("$defs", {}), ())
    for part, node in schema["properties"].items():
        _demand_bounds(node, part, status=part == "status")
    return schema


def _node(node: Schema, definitions: dict[str, Schema], parents: tuple[str, ...]) -> Schema:
    node, parents = _resolved(node, definitions, parents)
    out = {key: value for key, value in node.items() if key in _KEPT}
    out |= {key: value for key, value in node.items() if key.startswith("x-kubernetes-")}
    if isinstance(out.get("description"), str):
        out["description"] = " ".join(out["description"].split())
    if out.get("default", ...) is None:
        del out["default"]
    if "properties" in node:
        out["properties"] = {
            name: _node(child, definitions, parents) for name, child in node["properties"].items()
        }
    if "items" in node:
        out["items"] = _node(node["items"], definitions, parents)
    extra = node.get("additionalProperties")
    if isinstance(extra, dict) and "x-kubernetes-preserve-unknown-fields" not in out:
        out["additionalProperties"] = _node(extra, definitions, parents)
    if "type" not in out:
        raise SchemaError(f"no type in {node}")
    return out


def _resolved(
    node: Schema, definitions: dict[str, Schema], parents: tuple[str, ...]
) -> tuple[Schema, tuple[str, ...]]:
    """Follow references and optional unions down to the one schema that they stand for."""
    while True:
        if "$ref" in node:
            name = node["$ref"].rsplit("/", 1)[-1]
            if name in parents:
                raise SchemaError(f"{name} contains itself")
            parents = (*parents, name)
            node = definitions[name] | {k: v for k, v in node.items() if k != "$ref"}
        elif "anyOf" in node:
            given = [part for part in node["anyOf"] if part.get("type") != "null"]
            if len(given) != 1:
                raise SchemaError(f"a union cannot be said: {node}")
            node = given[0] | {k: v for k, v in node.items() if k != "anyOf"}
        elif "const" in node:
            node = {k: v for k, v in node.items() if k != "const"} | {"enum": [node["const"]]}
        elif "prefixItems" in node or node.get("uniqueItems"):
            raise SchemaError(f"a tuple or a set cannot be said: {node}")
        else:
            return node, parents


def _demand_bounds(node: Schema, path: str, *, status: bool) -> None:
    """Each string, list and map of a spec is bounded; no status has a default."""
    if status and "default" in node:
        raise SchemaError(f"{path}: a status with defaults differs from what was written")
    wanted = () if status else _BOUND.get(node["type"], ())
    if wanted and not any(bound in node for bound in wanted):
        raise SchemaError(f"{path}: a {node['type']} without a bound")
    for name, child in node.get("properties", {}).items():
        _demand_bounds(child, f"{path}.{name}", status=status)
    if "items" in node:
        _demand_bounds(node["items"], f"{path}[]", status=status)
    if "additionalProperties" in node:
        if not status and "maxProperties" not in node:
            raise SchemaError(f"{path}: a map without a bound")
        _demand_bounds(node["additionalProperties"], f"{path}.*", status=status)


def rules_of(schema: Schema) -> list[dict[str, str]]:
    """All CEL rules of a schema, in order; for tests and for the reference in the docs."""
    found = list(schema.get(VALIDATIONS, []))
    children = [*schema.get("properties", {}).values(), schema.get("items")]
    children.append(schema.get("additionalProperties"))
    for child in children:
        if isinstance(child, dict):
            found += rules_of(child)
    return found
