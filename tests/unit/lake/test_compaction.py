"""Compaction replaces small files and nothing else: rows stay, writers are not refused, partitions stay apart."""

from datetime import timedelta
from typing import Any

import pytest
from pyiceberg.exceptions import ValidationException
from pyiceberg.io import pyarrow

from contracts import names
from lake import compaction
from lake.compaction import Compaction, compact
from lake.snapshots import current_snapshot
from tests.lake_tables import NOW, Lake, transaction

_YESTERDAY = NOW - timedelta(days=1)


def _rows(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.table(names.TRANSACTIONS).scan().to_arrow().sort_by("transaction_id").to_pylist()
    return rows


def _files(lake: Lake) -> int:
    return len(list(lake.table(names.TRANSACTIONS).scan().plan_files()))


def _compact(lake: Lake, **other: Any) -> Compaction:
    return compact(lake.table(names.TRANSACTIONS), sort_by="event_time", **other)


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
        lake.append(names.TRANSACTIONS, [transaction(number, event_time=_YESTERDAY)])
    lake.append(names.TRANSACTIONS, [transaction(9, event_time=NOW)])
    done = _compact(lake)
    assert (done.files_before, done.files_after, _files(lake)) == (3, 1, 2)


def test_compact_no_group_is_larger_than_it_may_be(lake: Lake) -> None:
    for number in range(6):
        lake.append(names.TRANSACTIONS, [transaction(number)])
    size = max(task.file.file_size_in_bytes for task in lake.table(names.TRANSACTIONS).scan().plan_files())
    done = _compact(lake, group_bytes=3 * size)
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
    """`act` happens once, between the reading of the files and the commit that replaces them."""
    original, waiting = pyarrow._dataframe_to_data_files, [act]

    def write(**arguments: Any) -> Any:
        if waiting:
            waiting.pop()()
        return original(**arguments)

    monkeypatch.setattr(compaction, "_dataframe_to_data_files", write)


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
    with pytest.raises(ValidationException):
        _compact(lake)
    assert len(_rows(lake)) == 3
