"""Reads the data contracts: JSON Schema files under `config/contracts/` become `Contract` values.

A contract is the only list of fields. Flink columns and predicates, Iceberg schemas, expectations and
Dagster column metadata are projections of it, each made where it is used.

Three annotations extend JSON Schema (validators ignore them): `x-column`, the column's name where it
differs from the field's, `x-type`, the column's type where it is not text, and `x-limits`, see `Limits`.
"""

import json
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from contracts.errors import ConfigError
from contracts.paths import contracts_folder

ContractName = Literal["transaction", "alert", "dead-letter"]
CONTRACTS: Final[tuple[ContractName, ...]] = ("transaction", "alert", "dead-letter")


@dataclass(frozen=True)
class Field:
    """One field of a contract.

    `name` is the JSON property, `column` the table column, `type` the column's type in the words of
    Iceberg (`string`, `int`, `long`, `decimal(14,2)`, `timestamptz`, `map<string,string>`), `rules` the
    property's JSON Schema as written.
    """

    name: str
    column: str
    type: str
    required: bool
    nullable: bool
    description: str
    rules: dict[str, Any]

    @property
    def json_type(self) -> str:
        """What it is in JSON, in words: `string`, `string or null`."""
        declared = self.rules.get("type", "string")
        return declared if isinstance(declared, str) else " or ".join(declared)


@dataclass(frozen=True)
class Limits:
    """What no record exceeds, so that no parser on its way fails where another succeeds.

    `bytes` of the whole record; `containers`: objects and arrays, nested or not, so that depth is bounded too;
    `members` of all objects together; `number_characters` of one number and `exponent_digits` of its exponent.
    """

    bytes: int
    containers: int
    members: int
    number_characters: int
    exponent_digits: int


# The strictest parser decides each: Jackson takes keys of 50,000 characters and 150 keys of one hash, jsonschema-rs
# copies values to a depth of 255, and for orjson a number is a finite double: at most 200 digits and 10^99 here.
_HIGHEST = Limits(bytes=49_999, containers=250, members=149, number_characters=200, exponent_digits=2)


@dataclass(frozen=True)
class Contract:
    """A data contract: its fields in declared order, which is also the order producers write them in.

    `limits` is None where records of the contract are written by the pipeline alone.
    """

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    limits: Limits | None
    schema: dict[str, Any]

    def field(self, name: str) -> Field:
        """The field called `name` in JSON. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @property
    def required(self) -> tuple[Field, ...]:
        """The fields that every record has."""
        return tuple(field for field in self.fields if field.required)

    @property
    def optional(self) -> tuple[Field, ...]:
        """The fields that a record may leave out."""
        return tuple(field for field in self.fields if not field.required)

    @property
    def record_limits(self) -> Limits:
        """The limits of a contract that foreign records are judged by. Raises ConfigError where it has none."""
        if self.limits is None:
            path = contracts_folder() / f"{self.name}.schema.json"
            raise ConfigError(path, "a contract that records are judged by has limits", path="x-limits")
        return self.limits


@cache
def load_contract(name: ContractName) -> Contract:
    """The contract called `name`, from the configuration folder.

    Raises ConfigError where the file is missing, is not JSON or is not an object schema.
    """
    path = contracts_folder() / f"{name}.schema.json"
    try:
        schema = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(path, "the contract is missing; restore it from the project") from None
    except ValueError as error:
        raise ConfigError(path, f"not JSON: {error}") from error
    return parse_contract(name, schema, path)


def parse_contract(name: str, schema: Any, path: Path) -> Contract:
    """The JSON value `schema` as the contract called `name`. Raises ConfigError, naming `path`, where it is none."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or not isinstance(schema.get("properties"), dict):
        raise ConfigError(path, "a contract is a JSON Schema of type object with properties")
    if bare := [key for key, rules in schema["properties"].items() if not isinstance(rules, dict)]:
        raise ConfigError(path, "a field's rules are a mapping", path=f"properties.{bare[0]}")
    required = set(schema.get("required", ()))
    unknown = required - set(schema["properties"])
    if unknown:
        raise ConfigError(path, f"unknown fields are required: {', '.join(sorted(unknown))}", path="required")
    return Contract(
        name=name,
        title=schema.get("title", name),
        description=schema.get("description", ""),
        fields=tuple(_field(key, rules, key in required) for key, rules in schema["properties"].items()),
        limits=_limits(path, schema["x-limits"]) if "x-limits" in schema else None,
        schema=schema,
    )


def _limits(path: Path, found: object) -> Limits:
    highest = {limit.name: getattr(_HIGHEST, limit.name) for limit in fields(Limits)}
    if not isinstance(found, dict) or found.keys() != highest.keys():
        raise ConfigError(path, f"the limits are {', '.join(highest)}", path="x-limits")
    for name, value in found.items():
        if type(value) is not int or not 1 <= value <= highest[name]:
            raise ConfigError(path, f"must be 1 to {highest[name]}, found {value!r}", path=f"x-limits.{name}")
    return Limits(**found)


def _field(name: str, rules: dict[str, Any], required: bool) -> Field:
    types = rules.get("type", "string")
    return Field(
        name=name,
        column=rules.get("x-column", name),
        type=rules.get("x-type", "string"),
        required=required,
        nullable=not required or (isinstance(types, list) and "null" in types),
        description=rules.get("description", ""),
        rules=rules,
    )
