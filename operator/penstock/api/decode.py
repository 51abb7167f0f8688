"""Bodies of Penstock's objects, as the API server gives them, to values of the core."""

from __future__ import annotations

from penstock.api.kinds import KindSpec
from penstock.api.parse import Body
from penstock.domain.cached_object import CachedObject
from penstock.domain.refs import ObjectRef
from penstock.errors import SpecInvalid


def decode_object(kind: KindSpec, body: Body, companion: Body | None = None) -> CachedObject:
    """One object, parsed or with what is wrong with it.

    Args:
        kind: of a kind that has a parser.
        body: the object.
        companion: the object that keeps a part of its status, where there is one.
    """
    if kind.parse is None:
        raise TypeError(f"{kind.kind} is not a kind that people write")
    metadata = body["metadata"]
    value: object
    try:
        value = kind.parse(body)
    except SpecInvalid as problem:
        value = problem
    ref = ObjectRef(metadata.get("namespace", ""), metadata["name"], str(metadata.get("uid", "")))
    return CachedObject(
        ref=ref,
        generation=int(metadata.get("generation") or 0),
        spec=value,
        created=str(metadata.get("creationTimestamp", "")),
        status=kind.decode_status(ref, body.get("status"), companion),
    )
