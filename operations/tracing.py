"""Where a record came from and what became of it: from its place in Kafka to the file its row is in now.

Without PyIceberg and Dagster, which take seconds to import: DuckDB over the tables, and the ledger of commits.
"""

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.errors import QueryError
from contracts.paths import StatePaths
from contracts.positions import Position
from lake.duck import connect_to, iceberg_scan
from lake.locations import metadata_locations
from lake.sql import quote

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COMPACTED = "compacted-"


@dataclass(frozen=True)
class Commit:
    """The commit that brought a row: from the ledger, or of the table's own history while it is not in there yet."""

    snapshot_id: str
    committed_at: datetime
    flink_job_id: str | None
    flink_checkpoint_id: int | None
    session_id: str | None
    recorded: bool


@dataclass(frozen=True)
class CheckRun:
    """An asset check's newest result since the row was committed."""

    check: str
    passed: bool
    at: datetime


@dataclass(frozen=True)
class Stored:
    """A row of `table`: where its record stood in Kafka, what brought it, the `file` it is in now, and what checked it.

    `compacted` tells whether that file was made by maintenance. `commit` is None where nobody knows it any more.
    """

    table: str
    position: str
    row: dict[str, Any]
    file: str
    compacted: bool
    commit: Commit | None
    checks: tuple[CheckRun, ...]


@dataclass(frozen=True)
class Trace:
    """What is known of a record: its rows (a transaction that was sent twice has two), and the alerts on it."""

    asked: str
    rows: tuple[Stored, ...]
    alerts: tuple[Stored, ...]


def trace(addresses: Addresses, asked: str) -> Trace:
    """The trace of a transaction's id, or of a place in Kafka (`partition/offset`, `topic/partition/offset`).

    Raises QueryError for what is neither, and where no table has it; NotRunning before the first tables.
    """
    if not _UUID.fullmatch(asked):
        try:
            place = Position.parse(asked)
        except ValueError as error:
            raise QueryError(f"{error}; or give a transaction's id, a UUID in lower case") from None
    else:
        place = None
    locations = metadata_locations(addresses)
    with connect_to(locations, addresses.iceberg_warehouse) as connection:
        tracer = _Tracer(connection, locations, addresses)
        rows = tracer.at(place) if place else tracer.rows(names.TRANSACTIONS, _one_of("transaction_id", [asked]))
        if not rows:
            raise QueryError(
                f"neither a transaction nor a dead letter is {asked}. A record is stored some 5 s after it was sent: "
                "is it younger? Else look where its sender had it acknowledged: pipeline trace <partition>/<offset>"
            )
        ids = list(dict.fromkeys(row.row["transaction_id"] for row in rows if row.table == names.TRANSACTIONS))
        alerts = tracer.rows(names.ALERTS, _one_of("transaction_id", ids))
        refused = [row.position for row in rows if row.table == names.DEAD_LETTERS]
        repaired = tracer.rows(names.TRANSACTIONS, _one_of(names.REPLAYED_FROM, refused))
        return Trace(asked, (*rows, *repaired), alerts)


def _one_of(column: str, values: Sequence[str]) -> str:
    """The condition that `column` is one of `values`; empty for none of them."""
    return f"{column} IN ({', '.join(map(quote, values))})" if values else ""


class _Tracer:
    """Looks rows up, with all that is known of each."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, locations: Mapping[str, str], addresses: Addresses
    ) -> None:
        self._connection = connection
        self._locations = locations
        self._addresses = addresses
        self._tables = {table.name: table for table in tables.stream_tables()}

    def at(self, place: Position) -> tuple[Stored, ...]:
        """What became of the record there."""
        topic, where = quote(place.topic), (place.partition, place.offset)
        transactions = self.rows(
            names.TRANSACTIONS, f"kafka_topic = {topic} AND kafka_partition = {where[0]} AND kafka_offset = {where[1]}"
        )
        dead = self.rows(names.DEAD_LETTERS, f'topic = {topic} AND "partition" = {where[0]} AND "offset" = {where[1]}')
        return (*transactions, *dead)

    def rows(self, table: str, condition: str) -> tuple[Stored, ...]:
        """The rows of `table` for which `condition` holds; none for an empty condition."""
        if not condition:
            return ()
        # Not through the view, which has no file names.
        scan = iceberg_scan(self._locations[table])
        found = self._ask(f"SELECT *, filename FROM {scan} WHERE {condition} ORDER BY ALL")
        return tuple(self._stored(self._tables[table], row) for row in found)

    def _stored(self, table: tables.Table, row: dict[str, Any]) -> Stored:
        file = row.pop("filename")
        partition, offset = (row[column] for column in table.position)
        commit = self._with_session(self._commit(table, partition, offset))
        return Stored(
            table=table.name,
            position=str(Position(row.get("kafka_topic") or row["topic"], partition, offset)),
            row=row,
            file=file,
            compacted=Path(file).name.startswith(_COMPACTED),
            commit=commit,
            checks=self._checks(table.name, commit.committed_at) if commit else (),
        )

    def _commit(self, table: tables.Table, partition: int, offset: int) -> Commit | None:
        found = self._ask(
            f"SELECT * FROM {names.COMMITS} WHERE table_name = {quote(table.name)} AND source_partition = {partition} "
            f"AND first_offset <= {offset} AND last_offset >= {offset} ORDER BY sequence_number LIMIT 1"
        )
        if not found:
            return _young_commit(self._addresses, table, partition, offset)
        (row,) = found
        return Commit(
            snapshot_id=str(row["snapshot_id"]),
            committed_at=row["committed_at"],
            flink_job_id=row["flink_job_id"],
            flink_checkpoint_id=row["flink_checkpoint_id"],
            session_id=row["session_id"],
            recorded=True,
        )

    def _with_session(self, commit: Commit | None) -> Commit | None:
        """The commit with the session that it falls into, where the ledger does not say which."""
        if commit is None or commit.session_id:
            return commit
        moment = f"TIMESTAMPTZ {quote(commit.committed_at.isoformat())}"
        found = self._ask(
            f"SELECT session_id FROM {names.SESSIONS} WHERE started_at <= {moment} "
            f"AND (ended_at IS NULL OR ended_at >= {moment}) ORDER BY started_at DESC LIMIT 1"
        )
        return replace(commit, session_id=found[0]["session_id"]) if found else commit

    def _checks(self, table: str, since: datetime) -> tuple[CheckRun, ...]:
        """Of Dagster's own storage, as far as it reaches back."""
        path = StatePaths(Path(self._addresses.pipeline_state)).dagster / "history" / "runs" / "index.db"
        if not path.exists():
            return ()
        sql = (
            "SELECT check_name, execution_status, max(evaluation_event_timestamp) FROM asset_check_executions "
            "WHERE asset_key = ? AND evaluation_event_timestamp >= ? AND execution_status IN ('SUCCEEDED', 'FAILED') "
            "GROUP BY check_name ORDER BY check_name"
        )
        moment = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")  # as Dagster writes it, without a zone
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            found = connection.execute(sql, (json.dumps(["lake", table]), moment)).fetchall()
        return tuple(
            CheckRun(check, status == "SUCCEEDED", datetime.fromisoformat(at).replace(tzinfo=UTC))
            for check, status, at in found
        )

    def _ask(self, sql: str) -> list[dict[str, Any]]:
        # Values stand in the text: for the first that is passed beside it, DuckDB imports pandas, 0.3 s.
        answer = self._connection.execute(sql)
        columns = [column[0] for column in answer.description or ()]
        return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]


def _young_commit(addresses: Addresses, table: tables.Table, partition: int, offset: int) -> Commit | None:
    """The commit that brought a record, of those that are not in the ledger yet; None where it is none of them."""
    from lake.catalog import open_catalog
    from lake.ledger import offsets_added, positions
    from lake.snapshots import snapshots_after

    with open_catalog(addresses) as catalog:
        reached = positions(catalog.load_table(tables.commits().identifier)).get(table.name)
        opened = catalog.load_table(table.identifier)
        for facts in snapshots_after(opened, reached):
            for there, _, first, last in () if facts.maintenance else offsets_added(opened, table, facts):
                if there == partition and first <= offset <= last:
                    return Commit(
                        str(facts.snapshot_id), facts.committed_at, facts.flink_job_id, facts.flink_checkpoint_id,
                        session_id=None, recorded=False,
                    )  # fmt: skip
    return None
