"""Sums up what the stream has written: counts from the tables, and the age of their newest commits. No Dagster here."""

from dataclasses import dataclass
from datetime import datetime

import duckdb
from pyiceberg.catalog import Catalog

from contracts import names, tables
from lake.duck import connect
from lake.snapshots import current_snapshot


@dataclass(frozen=True)
class TableState:
    """One table. `commit_age_ms` is the age of its newest commit, None before the first."""

    table: str
    rows: int
    commit_age_ms: int | None


@dataclass(frozen=True)
class StreamSummary:
    """Counts, largest first: dead letters by reason code, alerts by rule id and by severity."""

    tables: tuple[TableState, ...]
    dead_letters_by_reason: tuple[tuple[str, int], ...]
    alerts_by_rule: tuple[tuple[str, int], ...]
    alerts_by_severity: tuple[tuple[str, int], ...]


def summarize(catalog: Catalog, warehouse: str, *, now: datetime) -> StreamSummary:
    """The summary at `now` (aware). Raises what `lake.duck.connect` raises."""
    with connect(catalog, warehouse) as connection:
        return StreamSummary(
            tables=tuple(_state(connection, catalog, table, now) for table in tables.stream_tables()),
            dead_letters_by_reason=_counts(connection, names.DEAD_LETTERS, "reason_code"),
            alerts_by_rule=_counts(connection, names.ALERTS, "rule_id"),
            alerts_by_severity=_counts(connection, names.ALERTS, "severity"),
        )


def _state(connection: duckdb.DuckDBPyConnection, catalog: Catalog, table: tables.Table, now: datetime) -> TableState:
    (rows,) = connection.execute(f"SELECT count(*) FROM {table.name}").fetchall()[0]
    newest = current_snapshot(catalog.load_table(table.identifier))
    age = int((now - newest.committed_at).total_seconds() * 1000) if newest else None
    return TableState(table.name, rows, age)


def _counts(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> tuple[tuple[str, int], ...]:
    sql = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1"
    return tuple((value, count) for value, count in connection.execute(sql).fetchall())
