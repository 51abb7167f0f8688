"""Snapshots of ledgers in a real API server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pytest
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from penstock.adapters.kube_client import KubeClient
from penstock.adapters.ledger_store import MOST_TOGETHER, LedgerStore
from testbed.bed import Bed

pytestmark = pytest.mark.servers

T = TypeVar("T")
LEDGER_BYTES = 6_000


def by(bed: Bed, namespace: str, do: Callable[[LedgerStore], Awaitable[T]]) -> T:
    """Do this as a process of its own would."""

    async def whole() -> T:
        configuration = Configuration()
        await load_kube_config(str(bed.kubeconfig), client_configuration=configuration)
        server = KubeClient.from_configuration(configuration)
        try:
            return await do(LedgerStore(server, namespace))
        finally:
            await server.close()

    return asyncio.run(whole())


def ledgers(many: int, size: int = 100) -> dict[str, bytes]:
    draw = random.Random(3)
    return {f"{number:032x}": draw.randbytes(size) for number in range(many)}


def saved(bed: Bed, namespace: str, kept: Mapping[str, bytes]) -> None:
    by(bed, namespace, lambda store: store.save(kept))


def loaded(bed: Bed, namespace: str) -> Mapping[str, bytes]:
    return by(bed, namespace, lambda store: store.load())


def shelves(bed: Bed, namespace: str) -> dict[str, int]:
    found = bed.kube.call("GET", f"/api/v1/namespaces/{namespace}/configmaps")["items"]
    return {
        one["metadata"]["name"]: len(one.get("binaryData") or {})
        for one in found
        if one["metadata"]["name"].startswith("penstock-ledger-")
    }


def test_where_nothing_was_saved_nothing_is_loaded(bed: Bed, namespace: str) -> None:
    assert loaded(bed, namespace) == {}


def test_what_was_saved_is_loaded_by_the_next_process(bed: Bed, namespace: str) -> None:
    kept = ledgers(3)
    saved(bed, namespace, kept)
    assert loaded(bed, namespace) == kept


def test_many_ledgers_of_full_size_fit_on_shards_of_150(bed: Bed, namespace: str) -> None:
    kept = ledgers(MOST_TOGETHER + 20, LEDGER_BYTES)
    saved(bed, namespace, kept)
    assert loaded(bed, namespace) == kept
    assert max(shelves(bed, namespace).values()) <= MOST_TOGETHER


def test_a_shard_that_is_not_needed_any_more_is_emptied(bed: Bed, namespace: str) -> None:
    async def grow_and_shrink(store: LedgerStore) -> None:
        await store.save(ledgers(MOST_TOGETHER + 1))
        await store.save(ledgers(1))

    by(bed, namespace, grow_and_shrink)
    assert shelves(bed, namespace) == {"penstock-ledger-0": 1, "penstock-ledger-1": 0}
    assert loaded(bed, namespace) == ledgers(1)


def test_what_has_not_changed_is_not_written_again(bed: Bed, namespace: str) -> None:
    def version() -> str:
        path = f"/api/v1/namespaces/{namespace}/configmaps/penstock-ledger-0"
        found: str = bed.kube.call("GET", path)["metadata"]["resourceVersion"]
        return found

    async def load_and_save(store: LedgerStore) -> None:
        await store.save(await store.load())

    saved(bed, namespace, ledgers(2))
    before = version()
    by(bed, namespace, load_and_save)
    assert version() == before


def test_what_a_person_has_damaged_is_left_out(bed: Bed, namespace: str) -> None:
    kept = ledgers(2)
    saved(bed, namespace, kept)
    first, second = kept
    bed.kube.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/configmaps/penstock-ledger-0",
        {"binaryData": {first: None}, "data": {"note": "what is this?"}},
        content_type="application/merge-patch+json",
    )
    assert loaded(bed, namespace) == {second: kept[second]}
