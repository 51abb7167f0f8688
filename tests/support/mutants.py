"""Mutants of the core's judgement: one small wrong change each, tried against its own tests.

A mutant is the code of the module's own functions for as long as the tests run, and the original is
put back whatever happens. Only what decides is changed: comparisons, and/or, is/is not, not,
returned and compared constants, arithmetic, the order of ``min`` and ``max``, and whole rules.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

UNIT = Path(__file__).resolve().parents[1] / "unit" / "domain"

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.LShift: ast.RShift,
}
_CALLED = {"min": "max", "max": "min", "all": "any", "any": "all"}


@dataclass(frozen=True)
class Mutant:
    """One wrong change, and the module's tree with it."""

    module: ModuleType
    where: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.module.__name__.rpartition('.')[2]}: {self.where}"


def mutants(module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of one module."""
    original = ast.parse(inspect.getsource(module))
    owners = _owners(original)
    for index, node in enumerate(ast.walk(original)):
        if node not in owners:
            continue
        for turn in range(len(_changes(node))):
            tree = copy.deepcopy(original)
            changed = next(islice(ast.walk(tree), index, None))
            before = ast.unparse(node)
            after = _changes(changed)[turn]()
            yield Mutant(module, f"{owners[node]}: {before} -> {after}", tree)


def _owners(tree: ast.Module) -> dict[ast.AST, str]:
    """What is inside of a function's body, by the function's name: no annotation, no default."""
    return {
        node: function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for node in ast.walk(statement)
    }


def unchanged(module: ModuleType) -> Mutant:
    """The module as it is, planted as a mutant is: it must fail nothing."""
    return Mutant(module, "unchanged", ast.parse(inspect.getsource(module)))


def _changes(node: ast.AST) -> list[Callable[[], str]]:
    """What can be done to this node in place; each says what it is now."""
    match node:
        case ast.Compare(ops=[operator]):
            return [_set(node, "ops", [other()]) for other in _COMPARED[type(operator)]]
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            without = [
                _set(node, "values", [part for part in node.values if part is not left_out])
                for left_out in node.values
                if len(node.values) > 2
            ]
            return [_set(node, "op", other), *without]
        case ast.UnaryOp(op=ast.Not()):
            return [_set(node, "op", ast.UAdd())]
        case ast.BinOp(op=operator) if type(operator) in _COMPUTED:
            return [_set(node, "op", _COMPUTED[type(operator)]())]
        case ast.Constant(value=bool() as value):
            return [_set(node, "value", not value)]
        case ast.Constant(value=int() as value):
            return [_set(node, "value", value + 1)]
        case ast.Call(func=ast.Name(id=name)) if name in _CALLED:
            return [_set(node.func, "id", _CALLED[name], told=node)]
        case ast.IfExp():
            return [_swap(node)]
    return []


def _set(node: ast.AST, field: str, value: Any, told: ast.AST | None = None) -> Callable[[], str]:
    def change() -> str:
        setattr(node, field, value)
        return ast.unparse(told or node)

    return change


def _swap(node: ast.IfExp) -> Callable[[], str]:
    def change() -> str:
        node.body, node.orelse = node.orelse, node.body
        return ast.unparse(node)

    return change


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The mutant's code inside of the module's own functions, whoever holds on to them."""
    names: dict[str, Any] = {"__name__": mutant.module.__name__}
    exec(
        compile(ast.fix_missing_locations(mutant.tree), str(mutant.module.__file__), "exec"), names
    )
    wrong = _functions(names, mutant.module)
    right = _functions(vars(mutant.module), mutant.module)
    codes = {name: function.__code__ for name, function in right.items()}
    try:
        for name, function in right.items():
            function.__code__ = wrong[name].__code__
        yield
    finally:
        for name, function in right.items():
            function.__code__ = codes[name]


def _functions(names: Mapping[str, Any], module: ModuleType) -> dict[str, FunctionType]:
    """Functions, and methods as Class.name, that this module itself defines."""
    own = {key: one for key, one in names.items() if _module(one) == module.__name__}
    methods = {
        f"{key}.{name}": method
        for key, one in own.items()
        if isinstance(one, type)
        for name, method in vars(one).items()
        if isinstance(method, FunctionType) and not name.startswith("__")
    }
    return {key: one for key, one in own.items() if isinstance(one, FunctionType)} | methods


def _module(value: Any) -> str:
    return str(getattr(value, "__module__", ""))


Check = Callable[[], None]


def checks(*names: str) -> list[tuple[str, Check]]:
    """Every test of these files, once for each of its parameters."""
    return [
        (f"{name}::{test.__name__}", check)
        for name in names
        for test in _tests(name)
        for check in _expanded(test)
    ]


def _tests(name: str) -> list[FunctionType]:
    spec = importlib.util.spec_from_file_location(f"row_{name}", UNIT / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [
        value
        for key, value in vars(module).items()
        if key.startswith("test_") and isinstance(value, FunctionType)
    ]


def _expanded(test: FunctionType) -> Iterator[Check]:
    marks = [one for one in getattr(test, "pytestmark", ()) if one.name == "parametrize"]
    for chosen in product(*(_arguments(mark) for mark in marks)):
        given = {key: value for one in chosen for key, value in one.items()}
        yield lambda given=given: test(**given)


def _arguments(mark: pytest.Mark) -> list[dict[str, Any]]:
    names, rows = mark.args
    if isinstance(names, str):
        return [{names: row} for row in rows]
    return [dict(zip(names, row, strict=True)) for row in rows]


def killer(tests: Sequence[tuple[str, Check]]) -> str | None:
    """The first test that fails, in whatever way; None if none does."""
    for name, check in tests:
        try:
            check()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001
            return name
    return None
