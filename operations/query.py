"""Runs one SELECT over the tables and prints the answer."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from typing import Literal

import duckdb
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from contracts.addresses import Addresses
from contracts.errors import QueryError
from lake.duck import connect_to, select
from lake.locations import metadata_locations
from operations.terminal import console

Output = Literal["table", "csv", "json"]
Rows = Iterator[tuple[object, ...]]


def run_query(addresses: Addresses, sql: str, *, output: Output, limit: int) -> None:
    """Prints what `sql` returns: at most `limit` rows as a table, all of them as CSV or as JSON, one object a line.

    In JSON, decimals are text (money is never a binary float) and times are ISO 8601; in CSV, NULL is nothing.
    Raises QueryError for what is not one reading statement or fails; NotRunning before the first tables.
    """
    locations = metadata_locations(addresses)
    try:
        with connect_to(locations, addresses.iceberg_warehouse) as connection:
            answer = select(connection, sql)
            columns = [column[0] for column in answer.description or ()]
            if output == "table":
                _print_table(console(), columns, answer.fetchmany(limit + 1), limit)
            elif output == "csv":
                _print_csv(columns, iter(answer.fetchone, None))
            else:
                _print_json(columns, iter(answer.fetchone, None))
    except duckdb.Error as error:
        raise QueryError(str(error)) from error


def _print_table(screen: Console, columns: Sequence[str], rows: Sequence[tuple[object, ...]], limit: int) -> None:
    table = Table(*(escape(_printable(column)) for column in columns))
    for row in rows[:limit]:
        table.add_row(*(Text("" if value is None else _printable(str(value))) for value in row))
    screen.print(table)
    if len(rows) > limit:
        screen.print(f"only the first {limit} rows are shown; --limit, or --output csv for all")


def _printable(text: str) -> str:
    """A refused record may hold anything: nothing in it shall steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)


def _print_csv(columns: Sequence[str], rows: Rows) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _print_json(columns: Sequence[str], rows: Rows) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise QueryError(f"two columns are called {twice[0]}: name one of them anew (AS), or choose --output csv")
    for row in rows:
        sys.stdout.write(json.dumps(dict(zip(columns, row, strict=True)), default=_json_value) + "\n")


def _json_value(value: object) -> str:
    return value.isoformat() if isinstance(value, (date, datetime, time)) else str(value)
