"""What all our models share: strictness, camelCase names, and rules that exist twice on purpose.

A ``Rule`` is one sentence of the contract, once as CEL for the API server and once as Python for
the parser, side by side so that a reader sees whether they say the same; a fuzz test on a real API
server sees it too. The server's answer at ``kubectl apply`` is what people meet; the parser is for
objects that were stored before a rule existed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """One demand on a value.

    Attributes:
        cel: the demand as CEL over ``self``.
        message: names the field and the remedy, in one line.
        holds: the same demand in Python; None where only the server can know (it sees the old
        object).
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None

    def as_validation(self) -> dict[str, str]:
        """The rule as the schema's ``x-kubernetes-validations`` carries it."""
        return {"rule": self.cel, "message": self.message}


@dataclass(frozen=True)
class Checked:
    """Annotates a type with rules: ``Annotated[str, Checked(rule, ...)]``."""

    rules: tuple[Rule, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = handler(schema)
        json_schema.setdefault(VALIDATIONS, []).extend(r.as_validation() for r in self.rules)
        return json_schema

    def _check(self, value: Any) -> Any:
        check_rules(self.rules, value)
        return value


def _text_only(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value


# An enum, written as one of its words. Nothing but text may reach the enum itself: it prints what
# it refuses, and lists inside of lists inside of lists use up the stack.
E = TypeVar("E", bound=StrEnum)
Choice = Annotated[E, Field(strict=False), BeforeValidator(_text_only)]


def check_rules(rules: tuple[Rule, ...], value: Any) -> None:
    """Raise the first broken rule, as pydantic wants it."""
    for rule in rules:
        if rule.holds is not None and not rule.holds(value):
            raise PydanticCustomError("rule", "{message}", {"message": rule.message})


class KubeModel(BaseModel):
    """A part of a manifest.

    Strict, because the API server does not turn "5" into 5 either. Unknown fields are ignored: an
    object may have been written for a newer version of us.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        strict=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        use_enum_values=False,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: Any) -> Any:
        """The API server takes an explicit null for an absent field; so do we.

        A null under a name that we do not know stays, to be refused where unknown fields are.
        """
        if not isinstance(value, dict):
            return value
        known = {field.alias for field in cls.model_fields.values()}
        return {key: part for key, part in value.items() if part is not None or key not in known}

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        check_rules(self.rules, self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        json_schema = handler.resolve_ref_schema(handler(schema))
        if cls.rules:
            json_schema[VALIDATIONS] = [rule.as_validation() for rule in cls.rules]
        return json_schema

    def dump(self) -> dict[str, Any]:
        """The model as a manifest has it: camelCase, nothing that is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def exactly_one(where: str, *names: str) -> Rule:
    """A rule that just one of these optional members is given."""
    return Rule(
        cel=f"[{', '.join(f'has(self.{to_camel(name)})' for name in names)}]"
        ".filter(given, given).size() == 1",
        message=f"{where}: give exactly one of {_listed(names)}",
        holds=lambda model: sum(getattr(model, name) is not None for name in names) == 1,
    )


def at_most_one(where: str, *names: str) -> Rule:
    """A rule that no two of these optional members are given together."""
    return Rule(
        cel=f"[{', '.join(f'has(self.{to_camel(name)})' for name in names)}]"
        ".filter(given, given).size() <= 1",
        message=f"{where}: give at most one of {_listed(names)}",
        holds=lambda model: sum(getattr(model, name) is not None for name in names) <= 1,
    )


def _listed(names: tuple[str, ...]) -> str:
    camel = [to_camel(name) for name in names]
    return f"{', '.join(camel[:-1])} and {camel[-1]}"
