"""Compaction replaces small files and nothing else: rows stay, writers are not refused, partitions stay apart."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.exceptions import ValidationException
from pyiceberg.transforms import DayTransform

from contracts import names, tables
from contracts.paths import StatePaths
from lake import compaction, replacement
from lake.compaction import Compaction, compact
from lake.snapshots import current_snapshot
from lake.tables import create_tables
from tests.lake_tables import NOW, Lake, alert, dead_letter, transaction

_YESTERDAY = NOW - timedelta(days=1)


def _rows(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.table(names.TRANSACTIONS).scan().to_arrow().sort_by("transaction_id").to_pylist()
    return rows


def _files(lake: Lake) -> int:
    return len(list(lake.table(names.TRANSACTIONS).scan().plan_files()))


def _on_disk(lake: Lake) -> list[Path]:
    return list((StatePaths(lake.state).warehouse / names.NAMESPACE / names.TRANSACTIONS).rglob("*.parquet"))


def _compact(lake: Lake, **other: Any) -> Compaction:
    return compact(lake.table(names.TRANSACTIONS), tables.transactions(), **other)


def test_compact_small_files_become_one_and_every_row_stays(lake: Lake) -> None:
    for number in range(5):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    before = _rows(lake)
    done = _compact(lake)
    assert (done.files_before, done.files_after, _files(lake)) == (5, 1, 1)
    assert done.bytes_after < done.bytes_before
    assert _rows(lake) == before


def test_compact_commit_is_marked_as_maintenance_and_adds_no_row(lake: Lake) -> None:
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    _compact(lake)
    newest = current_snapshot(lake.table(names.TRANSACTIONS))
    assert newest is not None
    assert (newest.maintenance, newest.total_rows) == (True, 2)


def test_compact_rows_are_sorted_by_the_column(lake: Lake) -> None:
    for number in (3, 1, 2):
        lake.append(names.TRANSACTIONS, [transaction(number, event_time=NOW + timedelta(milliseconds=number))])
    _compact(lake)
    (task,) = lake.table(names.TRANSACTIONS).scan().plan_files()
    times = lake.table(names.TRANSACTIONS).scan().to_arrow()["event_time"].to_pylist()
    assert times == sorted(times), task.file.file_path


def test_compact_days_stay_apart_and_a_lone_file_is_left_alone(lake: Lake) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number, processed_at=_YESTERDAY)])
    lake.append(names.TRANSACTIONS, [transaction(9, event_time=NOW)])
    done = _compact(lake)
    assert (done.files_before, done.files_after, _files(lake)) == (3, 1, 2)


def test_compact_no_group_is_larger_than_it_may_be(lake: Lake) -> None:
    for number in range(6):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    size = max(task.file.file_size_in_bytes for task in lake.table(names.TRANSACTIONS).scan().plan_files())
    done = _compact(lake, target_bytes=3 * size)
    assert (done.files_before, done.files_after) == (6, 2)
    assert len(_rows(lake)) == 6


def test_compact_a_compacted_table_is_left_as_it_is(lake: Lake) -> None:
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    _compact(lake)
    newest = lake.table(names.TRANSACTIONS).current_snapshot()
    assert _compact(lake) == Compaction()
    assert lake.table(names.TRANSACTIONS).current_snapshot() == newest


def _meanwhile(monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """`act` happens once, between the writing of the new file and the commit that puts it in place of the others."""
    original, waiting = compaction._write, [act]

    def write(*arguments: Any) -> Any:
        written = original(*arguments)
        if waiting:
            waiting.pop()()
        return written

    monkeypatch.setattr(compaction, "_write", write)


def test_compact_beside_a_writer_neither_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    _meanwhile(monkeypatch, lambda: lake.append(names.TRANSACTIONS, [transaction(7)]))
    _compact(lake)
    assert [int(row["transaction_id"][-2:], 16) for row in _rows(lake)] == [0, 1, 2, 7]
    assert _files(lake) == 2


def test_compact_of_files_that_another_compaction_replaced_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    _meanwhile(monkeypatch, lambda: _compact(lake))
    with pytest.RaisesGroup(ValidationException):
        _compact(lake)
    assert len(_rows(lake)) == 3
    assert len(_on_disk(lake)) == 3 + 1  # the small ones, and the other's; the refused file is gone


def test_compact_that_fails_while_it_writes_leaves_the_table_and_no_file(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])

    def full(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction, "_read", full)
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="No space left")):
        _compact(lake)
    assert len(_on_disk(lake)) == _files(lake) == 3


def test_compact_large_result_is_not_rewritten_for_each_few_new_rows(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        lake.append(names.TRANSACTIONS, [transaction(number + 100 * many) for many in range(200)])
    _compact(lake, target_bytes=2**20)
    lake.append(names.TRANSACTIONS, [transaction(77_777)])
    lake.append(names.TRANSACTIONS, [transaction(77_778)])
    large = max(task.file.file_size_in_bytes for task in lake.table(names.TRANSACTIONS).scan().plan_files())
    monkeypatch.setattr(compaction, "_TINY_BYTES", large // 2)
    assert _compact(lake).files_before == 2
    assert _files(lake) == 2


def test_compact_files_of_one_size_are_merged_however_large_they_are(lake: Lake) -> None:
    for number in range(3):
        lake.append(names.DEAD_LETTERS, [dead_letter(number, payload=random.Random(number).randbytes(2**21).hex())])
    done = compact(lake.table(names.DEAD_LETTERS), tables.dead_letters())
    assert done.bytes_before > 3 * 2**20, "each is larger than what is always merged"
    assert (done.files_before, done.files_after) == (3, 1)


def test_compact_written_file_has_field_ids_bounds_and_a_bloom_filter_of_the_key(lake: Lake) -> None:
    for number in range(2):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    before = lake.table(names.TRANSACTIONS).scan().to_arrow().schema
    _compact(lake)
    table = lake.table(names.TRANSACTIONS)
    (task,) = table.scan().plan_files()
    path = Path(urlparse(task.file.file_path).path)
    schema = pq.read_schema(path)
    key = schema.field("transaction_id")
    assert (key.metadata or {})[b"PARQUET:field_id"] == str(
        table.schema().find_field("transaction_id").field_id
    ).encode()
    assert table.scan().to_arrow().schema == before
    assert task.file.record_count == 2
    assert set(task.file.lower_bounds or {}) >= {table.schema().find_field("event_time").field_id}
    with duckdb.connect() as connection:
        sql = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'transaction_id', ?)"
        for value, excluded in ((transaction(0)["transaction_id"], False), (transaction(5)["transaction_id"], True)):
            assert connection.execute(sql.replace("?", f"'{value}'")).fetchall() == [(excluded,)]


def test_compact_alerts_keep_their_evidence(lake: Lake) -> None:
    for number in range(3):
        lake.append(names.ALERTS, [alert(number)])
    before = lake.table(names.ALERTS).scan().to_arrow().sort_by("alert_id").to_pylist()
    compact(lake.table(names.ALERTS), tables.alerts())
    assert lake.table(names.ALERTS).scan().to_arrow().sort_by("alert_id").to_pylist() == before
    assert dict(before[0]["evidence"])["amount"] == "7000.00"


class _Lost(BaseException):
    """Ends a call from outside, as a signal does."""


@pytest.mark.parametrize(
    "error",
    [_Lost(), KeyboardInterrupt(), ConnectionError("reset"), TimeoutError("no answer"), MemoryError()],
    ids=repr,
)
def test_compact_whose_answer_is_lost_after_the_commit_leaves_a_table_that_can_be_read(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """The catalog has the commit, and so the table needs the new file; only its caller does not know."""
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    before, table = _rows(lake), lake.table(names.TRANSACTIONS)
    commit = table.catalog.commit_table

    def lost(*arguments: Any) -> Any:
        commit(*arguments)
        raise error

    monkeypatch.setattr(table.catalog, "commit_table", lost)
    with pytest.RaisesGroup(type(error), allow_unwrapped=True):
        compact(table, tables.transactions())
    assert (_rows(lake), _files(lake)) == (before, 1)


def test_compact_that_was_refused_removes_its_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    before, table = _rows(lake), lake.table(names.TRANSACTIONS)

    def refuse(*_: Any) -> Any:
        raise ValidationException("another compaction was first")

    monkeypatch.setattr(table.catalog, "commit_table", refuse)
    with pytest.RaisesGroup(ValidationException):
        compact(table, tables.transactions())
    assert (_rows(lake), len(_on_disk(lake))) == (before, 3)


def test_compact_group_that_fails_keeps_no_other_from_being_compacted(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (_YESTERDAY, NOW):
        for number in range(3):
            lake.append(names.TRANSACTIONS, [transaction(number, processed_at=day)])
    before = _rows(lake)
    refusals = iter([ValidationException("another compaction was first")])

    def replace_files(*arguments: Any) -> None:
        for refusal in refusals:
            raise refusal
        replacement.replace_files(*arguments)

    monkeypatch.setattr(compaction, "replace_files", replace_files)
    with pytest.RaisesGroup(ValidationException, match="transactions: 1 groups of files"):
        _compact(lake)
    assert (_files(lake), _rows(lake)) == (3 + 1, before)


@pytest.mark.parametrize("last", [0xD7FF, 0xFFFF, 0x10FFFF])
def test_compact_text_at_the_edge_of_unicode_is_compacted_and_found(lake: Lake, last: int) -> None:
    """The upper bound of a column is a text cut short and counted up, which is no text after U+D7FF."""
    name = chr(last) * 17
    for number in range(3):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    table = lake.table(names.TRANSACTIONS)

    def with_odd_name(*arguments: Any) -> Any:
        rows = read(*arguments)
        place = rows.schema.get_field_index("merchant_name")
        field = rows.schema.field(place)
        return rows.set_column(place, field, pa.array([name] * rows.num_rows, field.type))

    # PyIceberg cannot write such a row in the first place; Flink can.
    read = compaction._read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "_read", with_odd_name)
        done = compact(table, tables.transactions())
    assert done.files_before == 3
    assert lake.table(names.TRANSACTIONS).scan(row_filter=f"merchant_name = '{name}'").to_arrow().num_rows == 3


def test_compact_files_of_an_earlier_partitioning_stay_in_their_own(lake: Lake) -> None:
    table = lake.table(names.TRANSACTIONS)
    with table.update_spec() as update:
        update.remove_field("processed_at_day")
        update.add_field("event_time", DayTransform(), "event_time_day")
    for number in range(4):
        day = NOW - timedelta(days=number % 2)
        lake.append(names.TRANSACTIONS, [transaction(number, event_time=day)])
    create_tables(lake.catalog)
    for number in range(4, 7):
        lake.append(names.TRANSACTIONS, [transaction(number, event_time=_YESTERDAY)])
    before = _rows(lake)
    assert _compact(lake).files_before == 7
    specs = lake.table(names.TRANSACTIONS).specs()
    files = [task.file for task in lake.table(names.TRANSACTIONS).scan().plan_files()]
    assert sorted(specs[file.spec_id].fields[0].name for file in files) == [
        "event_time_day",
        "event_time_day",
        "processed_at_day",
    ]
    assert _rows(lake) == before
    for day, rows in ((NOW, 2), (_YESTERDAY, 5)):
        found = lake.table(names.TRANSACTIONS).scan(row_filter=f"event_time = '{day.isoformat()}'")
        assert found.to_arrow().num_rows == rows
