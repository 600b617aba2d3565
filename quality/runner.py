"""Holds a suite of expectations against one snapshot of an Iceberg table, in DuckDB.

Great Expectations and its engines are met here alone. Callers pass a suite in and get plain outcomes back.
"""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import great_expectations as gx
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.datasource.fluent.interfaces import Batch

from contracts.errors import CheckError
from lake.duck import iceberg_scan, load_iceberg
from quality.outcome import CheckOutcome

_VIEW = "snapshot"
# Uniqueness over more rows than this holds spills to disk; one thread leaves the other cores to the stream.
_DATABASE = {"memory_limit": "256MB", "threads": "1"}
_EXAMPLES = 3


def run(suite: ExpectationSuite, metadata_location: str, snapshot_id: int) -> tuple[CheckOutcome, ...]:
    """The outcome of each expectation of `suite`, in its order, on the snapshot `snapshot_id` of the table whose
    metadata file lies at `metadata_location`.

    Raises CheckError where an expectation could not be evaluated: that says nothing about the data.
    """
    with _batch(metadata_location, snapshot_id) as (batch, rows):
        validated = batch.validate(suite)
    # Great Expectations puts the expectations it could not evaluate first.
    found = {_meta(result)["name"]: result for result in validated.results}
    return tuple(_outcome(found[(expectation.meta or {})["name"]], rows) for expectation in suite.expectations)


@contextmanager
def _batch(metadata_location: str, snapshot_id: int) -> Iterator[tuple[Batch, int]]:
    """The snapshot as a batch, and its number of rows.

    Everything is made afresh and disposed: a context shared by 30 runs grew from 480 to 700 MB. The database lives in
    memory under a name of its own, so that the engines of Great Expectations and the extension loaded here meet in it.
    """
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    with tempfile.TemporaryDirectory(prefix="quality-duckdb-") as spill:
        source = gx.get_context(project_config=config, mode="ephemeral").data_sources.add_sql(
            "lake",
            connection_string=f"duckdb:///:memory:{uuid.uuid4().hex}",
            # DuckDB is no official dialect: without both flags every expectation fails with "list index out of range",
            # because the connection is rolled back before its rows are fetched, which drops DuckDB's result.
            kwargs={  # type: ignore[call-arg]  # a field of SQLDatasource that the generated signature leaves out
                "isolation_level": "AUTOCOMMIT",
                "skip_autocommit_rollback": True,
                "connect_args": {"config": {**_DATABASE, "temp_directory": spill}},
            },
            create_temp_table=False,
        )
        engine = source.get_engine()
        try:
            with engine.connect() as connection:
                load_iceberg(connection.exec_driver_sql)
                connection.exec_driver_sql("SET TimeZone = 'UTC'")
                connection.exec_driver_sql(
                    f"CREATE VIEW {_VIEW} AS FROM {iceberg_scan(metadata_location, snapshot_id)}"
                )
                rows = connection.exec_driver_sql(f"SELECT count(*) FROM {_VIEW}").scalar_one()
                asset = source.add_table_asset(_VIEW, table_name=_VIEW)
                batch = asset.add_batch_definition_whole_table(_VIEW).get_batch()
                try:
                    yield batch, int(rows)
                finally:
                    batch.data.execution_engine.engine.dispose()
        finally:
            engine.dispose()


def _outcome(result: ExpectationValidationResult, rows: int) -> CheckOutcome:
    meta = _meta(result)
    if reason := _exception(result.exception_info):
        raise CheckError(f"the expectation {meta['name']!r} could not be evaluated: {reason}")
    details = result.result
    return CheckOutcome(
        name=meta["name"],
        dimension=meta["dimension"],
        passed=bool(result.success),
        rows=rows,
        # UnexpectedRowsExpectation calls its count `observed_value`.
        unexpected=details.get("unexpected_count", details.get("observed_value")),
        examples=tuple(dict.fromkeys(str(value) for value in details.get("partial_unexpected_list", ())))[:_EXAMPLES],
    )


def _meta(result: ExpectationValidationResult) -> dict[str, Any]:
    return (result.expectation_config.meta if result.expectation_config else None) or {}


def _exception(info: dict[str, object]) -> str | None:
    """The message of what was raised. Either `info` itself tells, or one entry for each metric that failed does."""
    for entry in (info, *info.values()):
        if isinstance(entry, dict) and entry.get("raised_exception"):
            return str(entry.get("exception_message"))
    return None
