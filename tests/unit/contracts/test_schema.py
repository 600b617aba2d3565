"""Contracts are read from their files, and a wrong file is named."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator

from contracts import schema
from contracts.errors import ConfigError
from contracts.schema import ContractName
from tests.config_copies import changed_contract

NAMES: tuple[ContractName, ...] = ("transaction", "alert", "dead-letter")


@pytest.mark.parametrize("name", NAMES)
def test_load_contract_of_the_project_is_a_described_json_schema(name: ContractName) -> None:
    contract = schema.load_contract(name)
    Draft202012Validator(contract.schema, validate_formats=True)
    assert contract.name == name
    assert contract.title
    assert contract.description
    assert [field.name for field in contract.fields if not field.description] == []
    assert [field.name for field in contract.fields if not field.required] == []


def test_load_contract_transaction_fields_keep_the_order_of_the_file() -> None:
    names = [field.name for field in schema.load_contract("transaction").fields]
    assert names == [
        "transaction_id", "timestamp", "account_id", "amount", "currency", "merchant_id", "merchant_name",
        "merchant_category",
        "transaction_type", "channel", "country",
    ]  # fmt: skip


def test_load_contract_annotations_become_column_and_type() -> None:
    contract = schema.load_contract("transaction")
    assert (contract.field("timestamp").column, contract.field("timestamp").type) == ("event_time", "timestamptz")
    assert (contract.field("amount").column, contract.field("amount").type) == ("amount", "decimal(14,2)")
    assert contract.field("currency").type == "string"


def test_load_contract_type_with_null_is_nullable() -> None:
    contract = schema.load_contract("dead-letter")
    assert [field.name for field in contract.fields if field.nullable] == ["payload", "replayed_from"]


def test_load_contract_optional_field_is_nullable(config: Path) -> None:
    changed_contract(config, "alert", lambda alert: alert["required"].remove("severity"))
    field = schema.load_contract("alert").field("severity")
    assert (field.required, field.nullable) == (False, True)


def test_field_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="no_such_field"):
        schema.load_contract("transaction").field("no_such_field")


def test_load_contract_missing_file_is_named(config: Path) -> None:
    path = config / "contracts" / "alert.schema.json"
    path.unlink()
    with pytest.raises(ConfigError, match="the contract is missing") as refusal:
        schema.load_contract("alert")
    assert refusal.value.source == path


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[1, 2]", b'"x"', b'{"type": "array"}', b'{"type": "object"}'])
def test_load_contract_file_that_is_no_object_schema_is_refused(config: Path, text: bytes) -> None:
    path = config / "contracts" / "alert.schema.json"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"alert\.schema\.json") as refusal:
        schema.load_contract("alert")
    assert refusal.value.source == path


def test_load_contract_required_field_that_is_not_defined_is_named(config: Path) -> None:
    changed_contract(config, "alert", lambda alert: alert["required"].append("colour"))
    with pytest.raises(ConfigError, match="colour") as refusal:
        schema.load_contract("alert")
    assert refusal.value.path == "required"


def test_load_contract_field_without_rules_is_named(config: Path) -> None:
    def anything_goes(alert: dict[str, Any]) -> None:
        alert["properties"]["severity"] = True

    changed_contract(config, "alert", anything_goes)
    with pytest.raises(ConfigError, match="rules are a mapping") as refusal:
        schema.load_contract("alert")
    assert refusal.value.path == "properties.severity"


def test_load_contract_limits_of_a_transaction_are_those_of_the_file() -> None:
    assert schema.load_contract("transaction").record_limits == schema.Limits(
        bytes=32_768, containers=64, members=128, number_characters=100, exponent_digits=2
    )


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("bytes", 50_000), ("bytes", 0), ("bytes", "32768"), ("bytes", True), ("containers", 251), ("members", 150),
        ("number_characters", 201), ("exponent_digits", 3), ("exponent_digits", 1.5),
    ],
)  # fmt: skip
def test_load_contract_limit_beyond_what_parsers_bear_is_refused(config: Path, limit: str, value: object) -> None:
    changed_contract(config, "transaction", lambda found: found["x-limits"].update({limit: value}))
    with pytest.raises(ConfigError, match=r"must be 1 to \d+, found") as refusal:
        schema.load_contract("transaction")
    assert refusal.value.path == f"x-limits.{limit}"


@pytest.mark.parametrize("limits", [{}, {"bytes": 1}, [], 32_768])
def test_load_contract_incomplete_limits_are_refused_with_their_names(config: Path, limits: object) -> None:
    changed_contract(config, "transaction", lambda found: found.update({"x-limits": limits}))
    with pytest.raises(ConfigError, match="the limits are bytes, containers, members") as refusal:
        schema.load_contract("transaction")
    assert refusal.value.path == "x-limits"


def test_record_limits_of_a_contract_without_them_is_refused() -> None:
    with pytest.raises(ConfigError, match="has limits") as refusal:
        _ = schema.load_contract("dead-letter").record_limits
    assert refusal.value.path == "x-limits"


def test_contract_required_and_optional_fields_are_all_fields(config: Path) -> None:
    contract = schema.load_contract("transaction")
    assert (contract.required, contract.optional) == (contract.fields, ())
    changed_contract(config, "transaction", lambda found: found["required"].remove("country"))
    assert [field.name for field in schema.load_contract("transaction").optional] == ["country"]
