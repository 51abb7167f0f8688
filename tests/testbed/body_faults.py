"""Spoils the body of an answer on its way through the fault proxy.

Owns how each act on a body is carried out, as transformations of a stream of byte chunks; knows
neither HTTP nor sockets. `Broken` means "close the connection here", which only the proxy can do.
Lines are passed on the moment they are whole: a watch that is held back is a fault of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator
from random import Random
from typing import Any

from testbed.fault_actions import (
    BodyAct,
    Cut,
    CutWatch,
    EditWatch,
    Garble,
    HangAfterHeaders,
    InjectLine,
    ReplaceBody,
    SlowBody,
)

Chunks = AsyncGenerator[bytes, None]

_NEVER_IN_TEXT = (0xC0, 0xC1, 0xF5, 0xFF)
_DAMAGE_EVERY = 16
_PIECES_PER_SECOND = 20


class Broken(Exception):
    """Close the connection now; what was written before still arrives."""


def spoiled(chunks: Chunks, act: BodyAct) -> Chunks:
    """The same body after the act was done to it."""
    if isinstance(act, Cut):
        return _cut(chunks, act.after_bytes)
    if isinstance(act, Garble):
        return _garbled(chunks, act.seed)
    if isinstance(act, SlowBody):
        return _slow(chunks, act.bytes_per_second)
    if isinstance(act, HangAfterHeaders):
        return _hanging(chunks, act.seconds)
    if isinstance(act, ReplaceBody):
        return _replaced(chunks, act)
    if isinstance(act, CutWatch):
        return _cut_lines(lines(chunks), act)
    if isinstance(act, InjectLine):
        return _injected(lines(chunks), act)
    return _edited(lines(chunks), act)


def changes_length(act: BodyAct) -> bool:
    """Whether the announced length of the body no longer holds."""
    return isinstance(act, ReplaceBody | InjectLine | EditWatch)


async def lines(chunks: Chunks) -> Chunks:
    """Whole lines, each as soon as its end has come; a last one without an end as it is."""
    rest = b""
    async for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
    if rest:
        yield rest


async def _cut(chunks: Chunks, left: int) -> Chunks:
    async for chunk in chunks:
        if len(chunk) >= left:
            yield chunk[:left]
            raise Broken
        left -= len(chunk)
        yield chunk
    raise Broken


async def _garbled(chunks: Chunks, seed: int) -> Chunks:
    damages = _damages(seed)
    position, (target, byte) = 0, next(damages)
    async for chunk in chunks:
        damaged = bytearray(chunk)
        while target < position + len(damaged):
            damaged[target - position] = byte
            target, byte = next(damages)
        position += len(damaged)
        yield bytes(damaged)


def _damages(seed: int) -> Iterator[tuple[int, int]]:
    """Positions and bytes, by the seed alone: how the body was cut into chunks does not matter.

    The first byte is always among them, so that even the shortest body is damaged.
    """
    draw = Random(seed)
    position = 0
    while True:
        yield position, draw.choice(_NEVER_IN_TEXT)
        position += draw.randint(1, 2 * _DAMAGE_EVERY)


async def _slow(chunks: Chunks, bytes_per_second: int) -> Chunks:
    piece = max(1, bytes_per_second // _PIECES_PER_SECOND)
    async for chunk in chunks:
        for start in range(0, len(chunk), piece):
            part = chunk[start : start + piece]
            await asyncio.sleep(len(part) / bytes_per_second)
            yield part


async def _hanging(chunks: Chunks, seconds: float) -> Chunks:
    await asyncio.sleep(seconds)
    async for chunk in _cut_lines(chunks, CutWatch(after_lines=0)):
        yield chunk


async def _replaced(chunks: Chunks, act: ReplaceBody) -> Chunks:
    async for _ in chunks:
        pass
    body = act.body.encode()
    for _ in range(act.repeat):
        yield body


async def _cut_lines(whole: Chunks, act: CutWatch) -> Chunks:
    loop = asyncio.get_running_loop()
    end = None if act.after_seconds is None else loop.time() + act.after_seconds
    passed = 0
    while act.after_lines is None or passed < act.after_lines:
        try:
            async with asyncio.timeout_at(end):  # not around the yield: it would end the reader
                line = await anext(whole, None)
        except TimeoutError:
            break
        if line is None:
            break
        yield line
        passed += 1
    raise Broken


async def _injected(whole: Chunks, act: InjectLine) -> Chunks:
    extra = act.line.encode() + b"\n"
    passed = 0
    while passed < act.after_lines and (line := await anext(whole, None)) is not None:
        yield line
        passed += 1
    yield extra
    if act.end:
        return
    async for line in whole:
        yield line


async def _edited(whole: Chunks, act: EditWatch) -> Chunks:
    pattern = re.compile(act.pattern.encode())
    held = b""
    async for line in whole:
        if held and _object_of(line) == _object_of(held):
            yield held
            held = b""
        if not pattern.search(line):
            yield line
        elif act.how == "twice":
            yield line
            yield line
        elif act.how == "later" and not held:
            held = line
            continue
        elif act.how == "later":
            yield line
        if held:
            yield held
            held = b""
    if held:
        yield held


def _object_of(line: bytes) -> Any:
    """The uid of the object that a watch line is about; None where there is none."""
    try:
        return json.loads(line)["object"]["metadata"]["uid"]
    except (ValueError, KeyError, TypeError):
        return None
