"""Holds a suite of expectations against pinned snapshots of Iceberg tables, in DuckDB.

Great Expectations and its engines are met here alone. Callers pass a suite in and get plain outcomes back.
"""

import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
from great_expectations.core import ExpectationValidationResult
from great_expectations.core.batch_definition import BatchDefinition
from great_expectations.data_context.data_context.abstract_data_context import AbstractDataContext
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.datasource.fluent.interfaces import Batch, TestConnectionError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from contracts.errors import CheckError
from lake.duck import LOADS_UNVERIFIED, create_views, load_iceberg, rows_at
from lake.pinning import Pinned
from quality.expectations import Expectation, Suite
from quality.great import breach, great_suite
from quality.outcome import CheckOutcome

# Uniqueness over more rows than this holds spills to disk; one thread leaves the other cores to the stream.
_DATABASE = {"memory_limit": "256MB", "threads": "1"}
_EXAMPLES = 3


@dataclass(frozen=True)
class Verdict:
    """What came of a suite: the outcome of each expectation in its order, and how many of the table's `rows` are
    `broken`, each row counted once however much it breaks."""

    outcomes: tuple[CheckOutcome, ...]
    rows: int
    broken: int

    @property
    def pass_rate(self) -> float | None:
        """The share of rows that keep every expectation of a row; None for an empty table."""
        return 1 - self.broken / self.rows if self.rows else None


def run(suite: Suite, pinned: Mapping[str, Pinned]) -> Verdict:
    """The verdict of `suite` on the snapshots `pinned` by table name: its own, and those of the others that it names.

    Raises CheckError where an expectation could not be evaluated: that says nothing about the data.
    """
    with _batch(suite, pinned) as (batch, connection):
        validated = batch.validate(great_suite(suite))
        # Great Expectations puts the expectations it could not evaluate first.
        found = {_name(result): result for result in validated.results}
        rows = _count(connection, suite.table)
        outcomes = tuple(_outcome(expected, found[expected.name], rows) for expected in suite.expectations)
        breaches = [
            sql
            for expected, outcome in zip(suite.expectations, outcomes, strict=True)
            if expected.critical and not outcome.passed and (sql := breach(expected))
        ]
        either = " OR ".join(breaches).replace("{{", "{").replace("}}", "}")
        return Verdict(outcomes, rows, _count(connection, suite.table, either) if breaches else 0)


def _count(connection: Connection, table: str, condition: str = "true") -> int:
    return int(connection.exec_driver_sql(f'SELECT count(*) FROM "{table}" WHERE {condition}').scalar_one())


@contextmanager
def _batch(suite: Suite, pinned: Mapping[str, Pinned]) -> Iterator[tuple[Batch, Connection]]:
    """The suite's table as a batch, and a connection in which it and the others are views.

    Everything is made afresh and disposed: a context shared by 30 runs grew from 480 to 700 MB.
    """
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    context = gx.get_context(project_config=config, mode="ephemeral")
    with open_batch_definition(context, suite, pinned) as (definition, connection):
        batch = definition.get_batch()
        try:
            yield batch, connection
        finally:
            batch.data.execution_engine.engine.dispose()


@contextmanager
def open_batch_definition(
    context: AbstractDataContext, suite: Suite, pinned: Mapping[str, Pinned]
) -> Iterator[tuple[BatchDefinition[Any], Connection]]:
    """The suite's whole table in a data source of `context`, and a connection in which it and the others are views.

    The database lives in memory under a name of its own, so that the engines of Great Expectations and the extension
    loaded here meet in it. Raises CheckError where a table cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="quality-duckdb-") as spill:
        source = context.data_sources.add_sql(
            f"lake_{suite.table}",
            connection_string=f"duckdb:///:memory:{uuid.uuid4().hex}",
            # DuckDB is no official dialect: without both flags every expectation fails with "list index out of range",
            # because the connection is rolled back before its rows are fetched, which drops DuckDB's result.
            kwargs={  # type: ignore[call-arg]  # a field of SQLDatasource that the generated signature leaves out
                "isolation_level": "AUTOCOMMIT",
                "skip_autocommit_rollback": True,
                "connect_args": {"config": {**LOADS_UNVERIFIED, **_DATABASE, "temp_directory": spill}},
            },
            create_temp_table=False,
        )
        engine = source.get_engine()
        try:
            with engine.connect() as connection:
                _make_views(connection, {table: pinned[table] for table in (suite.table, *suite.others)})
                try:
                    asset = source.add_table_asset(suite.table, table_name=suite.table)
                except TestConnectionError as error:
                    raise CheckError(f"the table {suite.table} cannot be read: {error.__cause__}") from error
                yield asset.add_batch_definition_whole_table(suite.table), connection
        finally:
            engine.dispose()


def _make_views(connection: Connection, pinned: Mapping[str, Pinned]) -> None:
    try:
        load_iceberg(connection.exec_driver_sql, next(iter(pinned.values())).metadata_location)
        connection.exec_driver_sql("SET TimeZone = 'UTC'")
        for table, pin in pinned.items():
            create_views(connection.exec_driver_sql, table, rows_at(pin.metadata_location, pin.snapshot_id))
    except DBAPIError as error:
        raise CheckError(f"the tables {', '.join(pinned)} cannot be read: {error.orig}") from error


def _outcome(expected: Expectation, result: ExpectationValidationResult, rows: int) -> CheckOutcome:
    if reason := _exception(result.exception_info):
        raise CheckError(f"the expectation {expected.name!r} could not be evaluated: {reason}")
    details = result.result
    return CheckOutcome(
        name=expected.name,
        dimension=expected.dimension,
        critical=expected.critical,
        passed=bool(result.success),
        rows=rows,
        # An expectation of rows calls its count `observed_value`.
        unexpected=details.get("unexpected_count", details.get("observed_value")),
        examples=tuple(dict.fromkeys(str(value) for value in details.get("partial_unexpected_list", ())))[:_EXAMPLES],
    )


def _name(result: ExpectationValidationResult) -> str:
    return str(((result.expectation_config.meta if result.expectation_config else None) or {}).get("name"))


def _exception(info: dict[str, object]) -> str | None:
    """The message of what was raised. Either `info` itself tells, or one entry for each metric that failed does."""
    for entry in (info, *info.values()):
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return str(entry.get("exception_message"))
    return None
