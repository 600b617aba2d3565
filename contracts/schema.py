"""Reads the data contracts: JSON Schema files under `config/contracts/` become `Contract` values.

A contract is the only list of fields. Flink columns and predicates, Iceberg schemas, expectations and
Dagster column metadata are projections of it, each made where it is used.

Two annotations extend JSON Schema (validators ignore them): `x-column`, the column's name where it
differs from the field's, and `x-type`, the column's type where it is not text.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from contracts.errors import ConfigError
from contracts.paths import config_folder

ContractName = Literal["transaction", "alert", "dead-letter"]


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


@dataclass(frozen=True)
class Contract:
    """A data contract: its fields in declared order, which is also the order producers write them in."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    schema: dict[str, Any]

    def field(self, name: str) -> Field:
        """The field called `name` in JSON. Raises KeyError."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


@cache
def load_contract(name: ContractName) -> Contract:
    """The contract called `name`, from the configuration folder.

    Raises ConfigError where the file is missing, is not JSON or is not an object schema.
    """
    path = config_folder() / "contracts" / f"{name}.schema.json"
    try:
        schema = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(path, "the contract is missing; restore it from the project") from None
    except ValueError as error:
        raise ConfigError(path, f"not JSON: {error}") from error
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
        schema=schema,
    )


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
