"""A kind of Penstock's own is one row for the API server and one for the engine.

A kind that only this test has is listed, parsed, cached, changes by the watch, sets off its own
work, and has its status written: nothing else in the code knows of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import pytest

from penstock.adapters.metrics import MetricsRegistry
from penstock.api.base import KubeModel
from penstock.api.decode import decode_object
from penstock.api.kinds import KindSpec
from penstock.domain.cached_object import CachedObject
from penstock.domain.refs import ObjectRef
from penstock.engine import triggers
from penstock.engine.active_releases import ActiveReleases
from penstock.engine.evidence_store import EvidenceStore
from penstock.engine.informer import Informer
from penstock.engine.manager_index import ManagerIndex
from penstock.engine.object_cache import ObjectCache, ObjectChange
from penstock.engine.ports import Deleted, Upserted
from penstock.engine.status_writer import StatusWriter
from penstock.engine.stores import Queues, Stores
from penstock.errors import SpecInvalid
from support.decision_fixtures import NOW


class Toy(KubeModel):
    """A kind of this test."""

    kind: Literal["Toy"] = "Toy"


@dataclass(frozen=True)
class Wish:
    """What the author of a Toy wrote."""

    color: str


@dataclass(frozen=True)
class Painted:
    """The status of a Toy."""

    color: str


def parse(body: Any) -> Wish:
    color = body["spec"].get("color")
    if not color:
        raise SpecInvalid("spec.color", "write a color")
    return Wish(color)


TOY = KindSpec(
    Toy,
    "toys",
    None,
    (),
    parse=parse,
    decode_status=lambda _ref, status, _companion: Painted(status["color"]) if status else None,
    encode_status=lambda status: {"color": status.color},
)


def paint(_cache: ObjectCache, change: ObjectChange) -> triggers.Keys:
    """A Toy is worked on by the queue of Rollouts, for want of another."""
    return triggers.Keys(rollouts=[change.key])


@dataclass
class Toys:
    """An API server with Toys, a clock and a lease."""

    bodies: dict[str, Any] = field(default_factory=dict)
    held: bool = True

    def put(self, name: str, color: str, generation: int = 1) -> Any:
        metadata = {"name": name, "namespace": "shop", "uid": name, "generation": generation}
        self.bodies[name] = {**self.bodies.get(name, {}), "metadata": metadata}
        self.bodies[name]["spec"] = {"color": color}
        return self.bodies[name]

    async def list(self, resource: str) -> Sequence[CachedObject]:
        assert resource == "toys"
        return [decode_object(TOY, body) for body in self.bodies.values()]

    async def list_managers(self) -> dict[Any, Any]:
        return {}

    async def write_status(self, resource: str, ref: ObjectRef, status: object) -> None:
        assert resource == "toys"
        self.bodies[ref.name]["status"] = TOY.encode_status(status)

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


async def cached(toys: Toys) -> tuple[Stores, Informer, asyncio.Task[None]]:
    """A cache of Toys, once the first list is complete."""
    api: Any = toys
    stores = Stores(
        ObjectCache(), EvidenceStore(), ActiveReleases(), ManagerIndex(), Queues(api, 0.0)
    )
    informer = Informer(stores, api, api, MetricsRegistry(), 300.0)
    running = asyncio.create_task(informer.run())
    await informer.synced.wait()
    return stores, informer, running


async def next_key(stores: Stores) -> tuple[str, str]:
    queue: Any = stores.queues.rollouts
    async with asyncio.timeout(10):
        got = await queue.get()
    key: tuple[str, str] = got[0]
    queue.done(key)
    return key


def test_a_kind_of_one_row_is_listed_parsed_cached_and_its_changes_set_off_their_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triggers, "TRIGGERS", {"toys": paint})

    async def live() -> None:
        toys = Toys()
        toys.put("ball", "red")
        stores, informer, running = await cached(toys)
        found = stores.cache.get("toys", ("shop", "ball"))
        assert found is not None
        assert found.spec == Wish("red")
        assert await next_key(stores) == ("shop", "ball")

        informer.handle(Upserted("toys", decode_object(TOY, toys.put("ball", "", 2))))
        invalid = stores.cache.get("toys", ("shop", "ball"))
        assert invalid is not None
        assert isinstance(invalid.spec, SpecInvalid)
        assert await next_key(stores) == ("shop", "ball")

        informer.handle(Deleted("toys", "shop", "ball"))
        assert stores.cache.all("toys") == []
        assert await next_key(stores) == ("shop", "ball")
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(live())


def test_the_status_of_a_kind_of_one_row_is_written_when_it_changes_and_read_back() -> None:
    async def live() -> None:
        toys = Toys()
        toys.put("ball", "red")
        api: Any = toys
        statuses = StatusWriter(api, (), api, MetricsRegistry(), api)
        (entry,) = await toys.list("toys")
        await statuses.write("toys", entry, Painted("red"))
        assert toys.bodies["ball"]["status"] == {"color": "red"}
        (read,) = await toys.list("toys")
        assert read.status == Painted("red")

        toys.bodies["ball"]["status"] = {"color": "as it was left"}
        await statuses.write("toys", entry, Painted("red"))
        assert toys.bodies["ball"]["status"] == {"color": "as it was left"}
        await statuses.write("toys", entry, Painted("blue"))
        assert toys.bodies["ball"]["status"] == {"color": "blue"}

    asyncio.run(live())
