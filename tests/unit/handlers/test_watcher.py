"""The feed outlives whatever Kopf does, a Kopf that never ends included."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import kopf
import pytest

from penstock.adapters.clock import SystemClock
from penstock.adapters.metrics import MetricsRegistry
from penstock.handlers import watcher
from penstock.handlers.kopf_settings import kopf_settings


class Broken(Exception):
    """What a watch met."""


async def fail() -> None:
    raise Broken("a line that is no JSON")


async def swallow_cancellation() -> None:
    """As Kopf's watches do at times: they take it for a pause, and go on."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


async def wait_for_all(tasks: Collection[asyncio.Task[None]], **_: Any) -> None:
    await asyncio.wait(tasks)


def test_a_kopf_that_hangs_at_its_end_is_left_behind_and_another_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started = 0

    async def spawn(**_: Any) -> list[asyncio.Task[None]]:
        nonlocal started
        started += 1
        return [asyncio.create_task(fail()), asyncio.create_task(swallow_cancellation())]

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", wait_for_all)
    monkeypatch.setattr(watcher, "END_SECONDS", 0.05)
    monkeypatch.setattr(watcher, "RESTART_SECONDS", (0.05,))

    async def live() -> None:
        gap = asyncio.Event()
        watched = watcher.Watcher((), lambda _: None, gap.set, SystemClock(), MetricsRegistry())
        running = asyncio.create_task(watched.run())
        async with asyncio.timeout(60):
            await gap.wait()
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(live())

    assert started >= 1
    assert "the feed ended (Broken: a line that is no JSON)" in caplog.text


def test_a_kopf_that_leaves_a_watch_lost_is_ended_and_another_begins(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It does not look again for a kind that was removed and came back."""

    async def idle(flag: asyncio.Event) -> None:
        await flag.wait()

    async def spawn(stop_flag: asyncio.Event, **_: Any) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(idle(stop_flag))]

    monkeypatch.setattr(kopf, "spawn_tasks", spawn)
    monkeypatch.setattr(kopf, "run_tasks", wait_for_all)
    monkeypatch.setattr(watcher, "GIVE_UP_SECONDS", 0.05)
    monkeypatch.setattr(watcher, "RESTART_SECONDS", (0.05,))

    async def live() -> None:
        gap = asyncio.Event()
        watched = watcher.Watcher((), lambda _: None, gap.set, SystemClock(), MetricsRegistry())
        running = asyncio.create_task(watched.run())
        async with asyncio.timeout(60):
            await gap.wait()
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(live())

    assert "the feed ended (the watch of " in caplog.text
    assert " did not connect); it starts again" in caplog.text


def test_kopf_never_kills_the_process() -> None:
    """Its own way out of a hang is SIGKILL, which costs everybody else their evaluation."""
    assert kopf_settings().process.ultimate_exiting_timeout is None
