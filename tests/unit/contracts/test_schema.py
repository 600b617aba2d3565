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
    assert [field.name for field in contract.fields if field.nullable] == ["payload"]


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
