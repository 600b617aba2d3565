"""Every column and every field has an origin that exists."""

import pytest

from contracts import names, tables
from contracts.lineage import TOPIC_CONTRACTS, Origin, column_origins, fields_of, message_origins
from contracts.schema import load_contract


@pytest.mark.parametrize("table", tables.stream_tables(), ids=lambda table: table.name)
def test_column_origins_every_column_has_one_that_exists(table: tables.Table) -> None:
    origins = column_origins(table)
    assert list(origins) == [column.name for column in table.columns]
    for column, found in origins.items():
        assert found, column
        for origin in found:
            if origin.dataset in TOPIC_CONTRACTS and origin.field and not origin.field.startswith("#"):
                assert origin.field in fields_of(origin.dataset), (column, origin)


@pytest.mark.parametrize("topic", [names.ALERT_TOPIC, names.DEAD_LETTER_TOPIC])
def test_message_origins_every_field_of_the_contract_has_one(topic: str) -> None:
    assert set(message_origins(topic)) == {field.name for field in load_contract(TOPIC_CONTRACTS[topic]).fields}


def test_column_origins_of_known_columns_are_what_the_jobs_do() -> None:
    transactions, alerts, dead = map(column_origins, (tables.transactions(), tables.alerts(), tables.dead_letters()))
    assert transactions["amount"] == (Origin(names.RAW_TOPIC, "amount", "parsed"),)
    assert transactions["event_time"] == (Origin(names.RAW_TOPIC, "timestamp", "parsed"),)
    assert transactions["kafka_offset"] == (Origin(names.RAW_TOPIC, "#offset", "position"),)
    assert transactions["processed_at"] == (Origin(names.LAKEHOUSE_JOB, None, "clock"),)
    assert alerts["severity"] == (Origin(names.ALERT_TOPIC, "severity", "copied"),)
    assert dead["payload"] == (Origin(names.RAW_TOPIC, "#value", "copied"),)


def test_fields_of_the_raw_topic_are_the_contracts_and_what_records_have_beside_them() -> None:
    fields = fields_of(names.RAW_TOPIC)
    assert fields[0] == load_contract("transaction").fields[0].name
    assert set(fields) >= {"#offset", "#partition", "#value"}
