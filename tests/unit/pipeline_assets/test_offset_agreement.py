"""Log and tables held against each other: what is stored twice, missing, vanished, or no record at all."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import pytest

from contracts import names
from contracts.errors import NotRunning
from lake.duck import STORED
from pipeline_assets.lib.offset_agreement import (
    MISSING,
    STORED_TWICE,
    UNREAD,
    VANISHED,
    Disagreement,
    Range,
    Settled,
    examine,
    read_settled,
    write_settled,
)


def tables(*stored: int, refused: Iterable[int] = ()) -> duckdb.DuckDBPyConnection:
    """Tables with the records at these offsets of partition 0, as transactions and as dead letters."""
    connection = duckdb.connect()
    connection.execute(f"CREATE SCHEMA {STORED}; USE {STORED}")
    connection.execute(f"CREATE TABLE {names.TRANSACTIONS} (kafka_partition INT, kafka_offset BIGINT)")
    connection.execute(f'CREATE TABLE {names.DEAD_LETTERS} (topic VARCHAR, "partition" INT, "offset" BIGINT)')
    for offset in stored:
        connection.execute(f"INSERT INTO {names.TRANSACTIONS} VALUES (0, {offset})")
    for offset in refused:
        connection.execute(f"INSERT INTO {names.DEAD_LETTERS} VALUES ('{names.RAW_TOPIC}', 0, {offset})")
    connection.execute(f"INSERT INTO {names.DEAD_LETTERS} VALUES ('{names.ALERT_TOPIC}', 0, 0)")
    return connection


def log_with(*records: int, start: int = 0) -> "object":
    """A log that has those records, is retained from `start` on, and is asked."""

    def ask(partition: int, gap: Range) -> frozenset[int] | None:
        return None if gap[0] < start else frozenset(offset for offset in records if gap[0] <= offset < gap[1])

    return ask


def look(
    connection: duckdb.DuckDBPyConnection, ask: object, settled: Mapping[int, Settled] | None = None, start: int = 0
) -> tuple[tuple[Disagreement, ...], dict[int, Settled]]:
    return examine(connection, {0: 0}, {0: start}, settled or {}, ask)  # type: ignore[arg-type]


def never(partition: int, gap: Range) -> frozenset[int] | None:
    raise AssertionError("Kafka is asked about gaps alone")


def test_examine_every_record_once_is_settled_and_asks_nobody() -> None:
    assert look(tables(0, 1, 3, refused=[2]), never) == ((), {0: Settled(4)})


def test_examine_empty_tables_agree_with_an_empty_log() -> None:
    assert look(tables(), never) == ((), {0: Settled(0)})


def test_examine_markers_of_transactions_are_no_missing_records() -> None:
    found, settled = look(tables(0, 1, 3, 6), log_with(0, 1, 3, 6))
    assert (found, settled) == ((), {0: Settled(7, markers=3)})
    assert look(tables(0, 1, 3, 6, 7, 9), log_with(9, 7), settled) == ((), {0: Settled(10, markers=4)})


def test_examine_record_that_is_not_stored_is_missing_until_it_is() -> None:
    found, settled = look(tables(0, 1, 3, 6), log_with(0, 1, 2, 3, 6))
    assert found == (Disagreement(0, MISSING, 1, 2),)
    assert look(tables(0, 1, 3, 6), log_with(0, 1, 2, 3, 6), settled)[0] == found
    assert look(tables(0, 1, 2, 3, 6), log_with(0, 1, 2, 3, 6), settled) == ((), {0: Settled(7, markers=2)})


@pytest.mark.parametrize("until", [0, 4, 5])
def test_examine_record_that_is_stored_twice_is_told_wherever_it_stands(until: int) -> None:
    found, _ = look(tables(0, 1, 2, 3, 1, 4), never, {0: Settled(until)})
    assert [(each.kind, each.count) for each in found] == [(STORED_TWICE, 1)]


def test_examine_one_twice_and_one_missing_are_both_told() -> None:
    found, _ = look(tables(0, 1, 1, 3), log_with(0, 1, 2, 3))
    assert {(each.kind, each.count) for each in found} == {(STORED_TWICE, 1), (MISSING, 1)}


def test_examine_rows_that_were_there_and_are_gone_have_vanished() -> None:
    assert look(tables(0, 3), never, {0: Settled(4)})[0] == (Disagreement(0, VANISHED, 2, 0),)


def test_examine_gap_that_kafka_has_deleted_was_not_read() -> None:
    found, settled = look(tables(0, 5), log_with(5, start=3), start=3)
    assert found == (Disagreement(0, UNREAD, 4, 1),)
    assert settled == {0: Settled(1)}


def test_examine_log_that_begins_after_the_last_row_was_deleted_unread() -> None:
    assert look(tables(0, 1), never, start=9)[0] == (Disagreement(0, UNREAD, 7, 2),)


def test_examine_gap_while_kafka_is_silent_tells_nothing() -> None:
    def silent(partition: int, gap: Range) -> frozenset[int] | None:
        raise NotRunning("Kafka does not answer")

    with pytest.raises(NotRunning):
        look(tables(0, 2), silent)


def test_write_settled_is_read_back_and_nothing_is_settled_before(tmp_path: Path) -> None:
    path = tmp_path / "settled.json"
    assert read_settled(path) == {}
    write_settled(path, {0: Settled(7, markers=2), 1: Settled(0)})
    assert read_settled(path) == {0: Settled(7, markers=2), 1: Settled(0)}
