"""Whether a cluster's CRDs have every field that this version writes.

With server-side apply one field that the served schema lacks makes the whole write fail, and so
every status. Pure: the OpenAPI v3 document of Penstock's group in, what is missing out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from penstock.api.kinds import GROUP, KINDS, VERSION
from penstock.api.schema import Schema, structural

DOCUMENT = f"/openapi/v3/apis/{GROUP}/{VERSION}"
APPLY = "apply the CRDs of this release (kubectl apply -k deploy/crds)"
# What the operator writes of a kind; people write the rest.
_WRITTEN = ("status", "data")
_OPEN = "x-kubernetes-preserve-unknown-fields"
_KINDS = "x-kubernetes-group-version-kind"


def problem(document: Mapping[str, Any] | None) -> str:
    """What the cluster's CRDs lack and which file fixes it; empty when they lack nothing.

    Args:
        document: the answer at DOCUMENT; None when the API server does not serve the group at all.
    """
    served = _served(document or {})
    lacking = []
    for plural, kind, wanted in _written():
        crd = f"{plural}.{GROUP}"
        if kind not in served:
            lacking.append(f"the cluster has no CRD {crd}")
            continue
        paths = [path for name in wanted for path in _lacks(served[kind], wanted[name], name)]
        if paths:
            more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
            lacking.append(f"the cluster's CRD {crd} lacks {paths[0]}{more}")
    return f"{'; '.join(lacking)}: {APPLY}" if lacking else ""


@cache
def _written() -> tuple[tuple[str, str, dict[str, Schema]], ...]:
    """Plural, kind, and the schemas of what the operator writes, by their name at the top."""
    found = []
    for frame in KINDS:
        properties = structural(frame.model)["properties"]
        wanted = {name: properties[name] for name in _WRITTEN if name in properties}
        found.append((frame.plural, frame.kind, wanted))
    return tuple(found)


def _served(document: Mapping[str, Any]) -> dict[str, Schema]:
    """The schema of each kind; the document has others too, as those of lists."""
    found: dict[str, Schema] = {}
    for schema in ((document.get("components") or {}).get("schemas") or {}).values():
        for kind in schema.get(_KINDS) or ():
            if (kind.get("group"), kind.get("version")) == (GROUP, VERSION):
                found[str(kind.get("kind"))] = schema
    return found


def _lacks(served: Schema, wanted: Schema, name: str, path: str = "") -> Iterator[str]:
    """Paths below ``path`` that ``served`` lacks; of a whole subtree only its root."""
    here = f"{path}.{name}" if path else name
    child = (served.get("properties") or {}).get(name)
    if child is None:
        if not served.get(_OPEN):
            yield here
        return
    yield from _differs(child, wanted, here)


def _differs(served: Schema, wanted: Schema, path: str) -> Iterator[str]:
    if served.get("enum") and (
        words := [w for w in wanted.get("enum", ()) if w not in served["enum"]]
    ):
        yield f"{path} = {words[0]}"
    for name, child in (wanted.get("properties") or {}).items():
        yield from _lacks(served, child, name, path)
    for part, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(wanted.get(part), dict) and isinstance(served.get(part), dict):
            yield from _differs(served[part], wanted[part], path + mark)
