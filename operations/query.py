"""Runs one SELECT over the tables and prints the answer."""

import csv
import json
import sys
from typing import Literal

from rich.console import Console
from rich.table import Table

from contracts.addresses import Addresses
from contracts.errors import NotRunning, QueryError
from lake.catalog import open_catalog
from lake.duck import connect, select

Output = Literal["table", "csv", "json"]


def run_query(addresses: Addresses, sql: str, *, output: Output, limit: int) -> None:
    """Prints what `sql` returns: at most `limit` rows as a table, all of them as CSV or JSON.

    Raises QueryError for what is not one reading statement or fails; NotRunning before the first tables.
    """
    import duckdb
    from pyiceberg.exceptions import NoSuchTableError

    try:
        with connect(open_catalog(addresses), addresses.iceberg_warehouse) as connection:
            answer = select(connection, sql)
            columns = [column[0] for column in answer.description or ()]
            if output == "table":
                _print_table(columns, answer.fetchmany(limit + 1), limit)
                return
            rows = iter(answer.fetchone, None)
            if output == "csv":
                writer = csv.writer(sys.stdout)
                writer.writerow(columns)
                writer.writerows(rows)
            else:
                for row in rows:
                    print(json.dumps(dict(zip(columns, row, strict=True)), default=str))
    except NoSuchTableError:
        raise NotRunning("there are no tables yet. Start the pipeline once: pipeline up") from None
    except duckdb.Error as error:
        raise QueryError(str(error)) from error


def _print_table(columns: list[str], rows: list[tuple[object, ...]], limit: int) -> None:
    table = Table(*columns)
    for row in rows[:limit]:
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    console.print(table)
    if len(rows) > limit:
        console.print(f"only the first {limit} rows are shown; --limit, or --output csv for all")
