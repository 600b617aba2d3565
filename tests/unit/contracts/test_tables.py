"""The three tables, column by column: what the contracts say, and the record's place in Kafka."""

from pathlib import Path

import pytest

from contracts import tables
from contracts.errors import ConfigError
from contracts.schema import load_contract
from tests.config_copies import changed_contract

POSITION = ["kafka_topic", "kafka_partition", "kafka_offset", "kafka_timestamp", "processed_at", "replayed_from"]


def listed(table: tables.Table) -> list[str]:
    return [f"{column.name} {column.type}{' null' if column.nullable else ''}" for column in table.columns]


def test_transactions_columns_are_the_contract_and_the_position() -> None:
    assert listed(tables.transactions()) == [
        "transaction_id string", "event_time timestamptz", "account_id string", "amount decimal(14,2)",
        "currency string",
        "merchant_id string", "merchant_name string", "merchant_category string", "transaction_type string",
        "channel string",
        "country string", "kafka_topic string", "kafka_partition int", "kafka_offset long",
        "kafka_timestamp timestamptz",
        "processed_at timestamptz", "replayed_from string null",
    ]  # fmt: skip


def test_alerts_columns_are_the_contract_and_the_position() -> None:
    assert listed(tables.alerts()) == [
        "alert_id string", "transaction_id string", "account_id string", "rule_id string", "rule_version string",
        "severity string", "event_time timestamptz", "detected_at timestamptz", "evidence map<string,string>",
        "source_partition int", "source_offset long", "kafka_topic string", "kafka_partition int", "kafka_offset long",
        "kafka_timestamp timestamptz", "processed_at timestamptz",
    ]  # fmt: skip


def test_dead_letters_columns_are_the_contract_alone() -> None:
    assert listed(tables.dead_letters()) == [
        "topic string", "partition int", "offset long", "reason_code string", "message string", "payload string null",
        "payload_encoding string", "failed_at timestamptz", "replayed_from string null",
    ]  # fmt: skip


def test_all_tables_have_names_docs_sources_and_an_existing_time_column() -> None:
    assert {table.identifier: table.partition_by for table in tables.all_tables()} == {
        "finance.transactions": "processed_at",
        "finance.dead_letters": "failed_at",
        "finance.alerts": "processed_at",
        "finance.commits": "committed_at",
        "finance.sessions": "started_at",
    }
    for table in tables.all_tables():
        assert table.doc
        types = {column.name: column.type for column in table.columns}
        assert types[table.partition_by] == types[table.sort_by] == "timestamptz"
        assert [column.name for column in table.columns if not column.doc or not column.source] == []
        assert len({column.name for column in table.columns}) == len(table.columns)


def test_columns_source_names_the_contract_field_or_the_topic() -> None:
    sources = {column.name: column.source for column in tables.transactions().columns}
    assert sources["event_time"] == "transaction.timestamp"
    assert sources["kafka_offset"] == "transactions.raw#offset"
    assert {column.name: column.source for column in tables.alerts().columns}["kafka_offset"] == "alerts#offset"


def test_transactions_columns_follow_every_field_of_the_contract() -> None:
    columns = [column.name for column in tables.transactions().columns]
    assert columns == [*(field.column for field in load_contract("transaction").fields), *POSITION]


def test_transactions_field_with_the_name_of_an_own_column_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "load_contract", load_contract.__wrapped__)
    monkeypatch.setattr(tables, "_table", tables._table.__wrapped__)
    changed_contract(config, "transaction", lambda schema: schema["properties"].update(kafka_offset={"type": "string"}))
    with pytest.raises(ConfigError, match=r"transaction\.schema\.json: two columns would be called kafka_offset"):
        tables.transactions()
