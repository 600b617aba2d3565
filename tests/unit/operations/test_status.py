"""What `pipeline status` says of the tables, over real ones."""

from datetime import UTC, datetime, timedelta

import pytest

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.paths import StatePaths
from lake.compaction import compact
from operations.status import Latency, take_lake_status
from tests.lake_tables import NOW, Lake, alert, dead_letter, transaction


def test_take_lake_status_before_the_tables_is_none(tmp_path_factory: pytest.TempPathFactory) -> None:
    paths = StatePaths(tmp_path_factory.mktemp("state"))
    addresses = Addresses.local(state=paths, kafka_port=1, flink_rest_port=1, dagster_port=1)
    assert take_lake_status(addresses, now=NOW) is None


def test_take_lake_status_empty_tables_have_no_rows_and_no_latency(lake: Lake) -> None:
    found = take_lake_status(lake.addresses, now=NOW)
    assert found
    assert [(table.table, table.rows, table.commit_age_seconds) for table in found.tables] == [
        (names.TRANSACTIONS, 0, None), (names.DEAD_LETTERS, 0, None), (names.ALERTS, 0, None),
    ]  # fmt: skip
    assert (found.rate, found.alert_latency) == (0, Latency(0, None, None, None))
    assert found.storage_latency == Latency(0, None, None, None)


def test_take_lake_status_counts_rows_rules_and_reasons_and_measures_latency(lake: Lake) -> None:
    sent = NOW - timedelta(seconds=30)
    lake.append(names.TRANSACTIONS, [transaction(number, kafka_timestamp=sent) for number in range(300)])
    lake.append(names.DEAD_LETTERS, [dead_letter(0), dead_letter(1), dead_letter(2, reason_code="missing_field")])
    delays = {0: 10, 1: 20, 2: 30}
    lake.append(
        names.ALERTS,
        [
            alert(2 * offset, source_offset=offset, kafka_timestamp=sent + timedelta(milliseconds=delay))
            for offset, delay in delays.items()
        ],
    )
    found = take_lake_status(lake.addresses, now=NOW)
    assert found
    assert {table.table: table.rows for table in found.tables} == {"transactions": 300, "dead_letters": 3, "alerts": 3}
    assert found.rate == 10.0  # 300 since the first of them, 30 seconds ago
    assert (found.alert_latency.count, found.alert_latency.p50_ms) == (3, 20)
    assert found.storage_latency.count == 300
    assert found.storage_latency.p95_ms
    assert found.storage_latency.p95_ms >= 2000
    assert found.dead_letters_by_reason == {"malformed_json": 2, "missing_field": 1}
    assert found.alerts_by_rule == {"high-value": 3}
    assert found.alerts_by_severity == {"high": 3}


def test_take_lake_status_compaction_is_no_late_commit(lake: Lake) -> None:
    sent = datetime.now(UTC)
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(number, kafka_timestamp=sent)])
    compact(lake.table(names.TRANSACTIONS), tables.transactions())
    found = take_lake_status(lake.addresses, now=datetime.now(UTC))
    assert found
    assert found.storage_latency.count == 2, "each row once, from when it came"


def test_take_lake_status_rows_older_than_five_minutes_are_no_rate(lake: Lake) -> None:
    lake.append(names.TRANSACTIONS, [transaction(0, kafka_timestamp=NOW - timedelta(minutes=6))])
    found = take_lake_status(lake.addresses, now=NOW)
    assert found
    assert (found.rate, found.tables[0].rows) == (0, 1)
