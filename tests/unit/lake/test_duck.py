"""What a user may ask of the tables through DuckDB, and what is refused."""

from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from contracts import names, tables
from contracts.errors import ConfigError, QueryError
from lake.catalog_file import local_path
from lake.duck import connect, select
from tests.lake_tables import Lake, alert, dead_letter, transaction


@pytest.fixture
def filled(lake: Lake) -> Lake:
    lake.append(names.TRANSACTIONS, [transaction(number) for number in range(5)])
    lake.append(names.DEAD_LETTERS, [dead_letter(1)])
    lake.append(names.ALERTS, [alert(1)])
    return lake


def test_connect_filled_tables_are_views_with_their_rows(filled: Lake) -> None:
    with connect(filled.catalog, filled.addresses.iceberg_warehouse) as connection:
        for name, rows in ((names.TRANSACTIONS, 5), (names.DEAD_LETTERS, 1), ("finance.alerts", 1)):
            assert select(connection, f"SELECT count(*) FROM {name}").fetchall() == [(rows,)]


@pytest.mark.parametrize("table", tables.all_tables(), ids=lambda table: table.name)
def test_connect_table_without_snapshot_is_an_empty_view_with_its_columns(lake: Lake, table: tables.Table) -> None:
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection:
        result = select(connection, f"SELECT * FROM {table.name}")
        assert [column[0] for column in result.description or ()] == [column.name for column in table.columns]
        assert result.fetchall() == []


def test_connect_times_are_in_utc_and_money_is_exact(filled: Lake) -> None:
    with connect(filled.catalog, filled.addresses.iceberg_warehouse) as connection:
        row = select(connection, "SELECT event_time, sum(amount) OVER () FROM transactions LIMIT 1").fetchall()[0]
        assert isinstance(row[0], datetime)
        assert str(row[0].utcoffset()) == "0:00:00"
        assert str(row[1]) == "0.15"


def test_connect_later_commit_is_not_seen(filled: Lake) -> None:
    with connect(filled.catalog, filled.addresses.iceberg_warehouse) as connection:
        filled.append(names.TRANSACTIONS, [transaction(9)])
        assert select(connection, "SELECT count(*) FROM transactions").fetchall() == [(5,)]


def test_connect_remote_warehouse_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="gs://bucket"), connect(lake.catalog, "gs://bucket/warehouse"):
        pass


def test_connect_library_in_the_warehouse_is_not_loaded(lake: Lake) -> None:
    """Signatures of extensions are not asked for, so nothing but our own may be loaded."""
    library = local_path(lake.addresses.iceberg_warehouse) / "x.duckdb_extension"
    library.write_bytes(b"\x7fELF")
    with (
        connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection,
        pytest.raises(duckdb.PermissionException, match="Loading external extensions is disabled"),
    ):
        connection.execute(f"LOAD '{library}'")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{outside}')",
        "SELECT * FROM read_text('{warehouse}/../../outside.txt')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "SET TimeZone = 'CET'",
        "INSTALL httpfs",
        "ATTACH '{outside}.db'",
        "COPY (SELECT 1) TO '{outside}.csv'",
    ],
)
def test_connect_reaching_outside_the_warehouse_is_refused(lake: Lake, sql: str) -> None:
    outside = lake.state / "outside.txt"
    outside.write_text("secret")
    warehouse = lake.addresses.iceberg_warehouse.removeprefix("file://")
    with connect(lake.catalog, lake.addresses.iceberg_warehouse) as connection, pytest.raises(duckdb.Error):
        connection.execute(sql.format(outside=outside, warehouse=warehouse))


@pytest.mark.parametrize(
    "sql",
    [
        "FROM transactions LIMIT 1",
        "WITH big AS (SELECT * FROM transactions WHERE amount > 0.02) SELECT count(*) FROM big",
        "DESCRIBE transactions",
        "SUMMARIZE alerts",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM transactions",
        "SELECT 1;",
    ],
)
def test_select_reading_statement_gives_rows(filled: Lake, sql: str) -> None:
    with connect(filled.catalog, filled.addresses.iceberg_warehouse) as connection:
        assert select(connection, sql).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{folder}/planted.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/planted.csv'",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW transactions",
        "DELETE FROM transactions",
        "SELECT 1; SELECT 2",
        "",
        "SELEC 1",
        "SELECT nothing FROM transactions",
    ],
)
def test_select_anything_else_is_refused_and_leaves_no_trace(filled: Lake, sql: str) -> None:
    folder = Path(filled.addresses.iceberg_warehouse.removeprefix("file://"))
    with (
        connect(filled.catalog, filled.addresses.iceberg_warehouse) as connection,
        pytest.raises(QueryError),
    ):
        select(connection, sql.format(folder=folder))
    assert not (folder / "planted.csv").exists()
