"""Stories of the whole engine in virtual time: an ``async def`` test is played on its ``world``.

Their end is judged as a part of the test itself, so that none can forget it.
"""

from __future__ import annotations

import inspect

import pytest

from support.virtual.world import World


@pytest.fixture
def world() -> World:
    """A namespace without anything in it, and no engine yet."""
    return World()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Play what is a story."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in names}
    world = given["world"]
    assert isinstance(world, World)
    world.play(pyfuncitem.obj(**given))
    return True
