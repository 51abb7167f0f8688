"""The same test functions upon the double of a port and upon its adapter on real servers."""

from __future__ import annotations

import inspect

import pytest

from support.doubles.sides import DoubleSide, RealSide, Side


@pytest.fixture(params=["double", pytest.param("real", marks=pytest.mark.servers)])
def side(request: pytest.FixtureRequest) -> Side:
    """The double, or the adapter in a namespace of the test's own."""
    if request.param == "double":
        return DoubleSide()
    namespace: str = request.getfixturevalue("namespace")
    return RealSide(request.getfixturevalue("bed"), namespace)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Each test function is a coroutine: the double's is played in virtual time."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in names}
    side = given["side"]
    assert isinstance(side, DoubleSide | RealSide)
    side.play(pyfuncitem.obj(**given))
    return True
