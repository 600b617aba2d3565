"""Alerts that were stored a second time: no reader sees them, and maintenance removes them."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from contracts import names, tables
from lake.compaction import compact
from lake.duck import STORED, connect
from lake.repeats import Repeats
from lake.repeats_removal import remove_repeats
from lake.stored_offsets import next_offsets
from tests.lake_tables import NOW, Lake, alert

_ID = "2-" + "c" * 64


def _later(number: int, *, minutes: int = 1, **other: object) -> dict[str, object]:
    """Alert `number` as it is stored some minutes later, further on in the topic."""
    at = NOW + timedelta(minutes=minutes)
    return alert(number, **{"kafka_offset": 1_000 * minutes + number, "processed_at": at, **other})


def _read(lake: Lake, sql: str) -> list[tuple[object, ...]]:
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        return connection.execute(sql).fetchall()


def _remove(lake: Lake, *, dry_run: bool = False) -> Repeats:
    return remove_repeats(lake.table(names.ALERTS), tables.alerts(), lake.addresses.iceberg_warehouse, dry_run=dry_run)


@pytest.mark.parametrize(
    "repeated",
    [
        _later(1),
        # The same record was judged again after an upgrade: another scheme, and so another id.
        _later(1, alert_id=_ID),
        # Of a day that is long past.
        _later(1, minutes=60 * 24 * 40),
    ],
)
def test_connect_repeated_alert_is_seen_once_as_it_was_first(lake: Lake, repeated: Mapping[str, object]) -> None:
    lake.append(names.ALERTS, [alert(1), alert(2)])
    lake.append(names.ALERTS, [repeated])
    assert _read(lake, "SELECT alert_id, kafka_offset FROM alerts ORDER BY 2") == [
        (alert(1)["alert_id"], 1),
        (alert(2)["alert_id"], 2),
    ]
    assert _read(lake, f"SELECT count(*) FROM {STORED}.alerts") == [(3,)]


def test_connect_record_sent_again_whose_alert_was_repeated_before_is_seen_once(lake: Lake) -> None:
    """One alert three times: under the old scheme, under the new one, and of the same record at another position."""
    for row in (alert(1), _later(1, alert_id=_ID), _later(1, minutes=2, alert_id=_ID, source_offset=77)):
        lake.append(names.ALERTS, [row])
    assert _read(lake, "SELECT alert_id FROM alerts") == [(alert(1)["alert_id"],)]


@pytest.mark.parametrize(
    "other",
    [
        # Two payments with one transaction_id have ids and positions of their own.
        _later(1, alert_id=_ID, source_offset=78),
        # Two versions of a rule may both hit a record.
        _later(1, alert_id=_ID, rule_version="2"),
        _later(1, alert_id=_ID, rule_id="unusual-hour"),
        _later(1, alert_id=_ID, source_partition=1),
        # Forged in advance: neither transaction nor account of a record to come can be known.
        _later(1, alert_id=_ID, transaction_id=alert(2)["transaction_id"]),
        _later(1, alert_id=_ID, account_id="ACC999999999"),
    ],
)
def test_connect_alert_of_another_payment_or_rule_is_seen_too(lake: Lake, other: Mapping[str, object]) -> None:
    lake.append(names.ALERTS, [alert(1), other])
    assert _read(lake, "SELECT count(*) FROM alerts") == [(2,)]
    assert _remove(lake) == Repeats(0)


def test_connect_row_stored_twice_at_one_place_is_shown_twice(lake: Lake) -> None:
    """That is a fault, and no alert that was sent again: it is not to be hidden."""
    lake.append(names.ALERTS, [alert(1)])
    lake.append(names.ALERTS, [alert(1)])
    assert _read(lake, "SELECT count(*) FROM alerts") == [(2,)]
    assert _remove(lake) == Repeats(0)


def test_next_offsets_count_alerts_that_no_reader_sees(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1), _later(1)])
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        assert next_offsets(connection, names.ALERT_TOPIC) == {0: 1_002}


def test_remove_repeats_keeps_the_first_of_each_and_every_other_row(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(number) for number in range(20)])
    lake.append(names.ALERTS, [*(_later(number) for number in range(5)), _later(30)])
    lake.append(names.ALERTS, [_later(4, minutes=2), _later(31, minutes=2)])
    before = _read(lake, "FROM alerts ORDER BY alert_id")
    assert _remove(lake, dry_run=True) == Repeats(6)
    assert _read(lake, f"SELECT count(*) FROM {STORED}.alerts") == [(28,)]
    assert _remove(lake) == Repeats(6)
    assert _read(lake, f"FROM {STORED}.alerts ORDER BY alert_id") == before
    assert _remove(lake) == Repeats(0)


def test_remove_repeats_more_than_one_commit_names_removes_all(lake: Lake) -> None:
    count = 1_200
    lake.append(names.ALERTS, [alert(number) for number in range(count)])
    lake.append(names.ALERTS, [_later(number) for number in range(count)])
    assert _remove(lake) == Repeats(count)
    assert _read(lake, f"SELECT count(*), count(DISTINCT alert_id) FROM {STORED}.alerts") == [(count, count)]


def test_remove_repeats_while_the_stream_appends_loses_nothing(lake: Lake) -> None:
    lake.append(names.ALERTS, [alert(1)])
    lake.append(names.ALERTS, [_later(1)])
    opened = lake.table(names.ALERTS)
    lake.append(names.ALERTS, [_later(1, minutes=2), _later(2, minutes=2)])
    remove_repeats(opened, tables.alerts(), lake.addresses.iceberg_warehouse)
    assert _read(lake, f"SELECT kafka_offset FROM {STORED}.alerts ORDER BY 1") == [(1,), (2_001,), (2_002,)]


def test_remove_repeats_of_compacted_files_is_marked_as_maintenance(lake: Lake) -> None:
    for row in (alert(1), alert(2), _later(1)):
        lake.append(names.ALERTS, [row])
    compact(lake.table(names.ALERTS), tables.alerts())
    _remove(lake)
    snapshot = lake.table(names.ALERTS).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[names.MAINTENANCE_PROPERTY] == "repeats"
    assert compact(lake.table(names.ALERTS), tables.alerts()).files_before in (0, 2)
    assert _read(lake, "SELECT kafka_offset FROM alerts ORDER BY 1") == [(1,), (2,)]
