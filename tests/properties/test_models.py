"""Every model reads back what it prints, as JSON and as YAML, and says no more than was written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.base import KubeModel
from penstock.api.kinds import KINDS
from support.strategies import bodies, manifests
from support.validators import parser_says


def _with_subclasses(model: type[KubeModel]) -> Iterator[type[KubeModel]]:
    for one in model.__subclasses__():
        yield one
        yield from _with_subclasses(one)


MODELS = sorted(
    {model for model in _with_subclasses(KubeModel) if model.__module__.startswith("penstock.")},
    key=lambda model: model.__name__,
)
KINDS = [frame.kind for frame in KINDS]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@given(data=st.data())
def test_a_printed_model_reads_back_as_itself(model: type[KubeModel], data: st.DataObject) -> None:
    written = data.draw(manifests(model))
    value = model.model_validate(written, extra="forbid")
    printed = value.dump()
    assert model.model_validate(printed) == value
    assert model.model_validate(json.loads(json.dumps(printed))) == value
    assert model.model_validate(yaml.safe_load(yaml.safe_dump(printed))) == value
    assert _is_part(written, printed)
    assert _is_part(written, printed)


def _is_part(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _is_part(value, whole[key]) for key, value in part.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(map(_is_part, part, whole))
    return part == whole


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_objects_of_the_strategies_are_what_the_parser_accepts(
    kind: str, data: st.DataObject
) -> None:
    assert parser_says(data.draw(bodies(kind))) is None
