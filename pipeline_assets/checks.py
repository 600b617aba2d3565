"""The asset checks: each table's suite of `quality/`, a check for each of its dimensions, and one of its newest rows.

The whole table is judged by a run, on a schedule or on demand; the rows of each commit by the snapshot sensor. Great
Expectations is imported when a check runs, never with this module: it costs 3 s and 260 MB that the code server, which
only has to know the checks, would hold for ever.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import dagster as dg
from pyiceberg.catalog import Catalog

from contracts import tables
from contracts.errors import CheckError, NotRunning
from lake.added import added_rows
from lake.pinning import pin
from lake.snapshots import current_snapshot
from pipeline_assets.graph import table_key
from pipeline_assets.resources import LakeResource
from quality import new_rows
from quality.expectations import Suite
from quality.outcome import CheckOutcome
from quality.settings import QualitySettings, load_quality
from quality.suites.catalogue import SUITES

NEW_ROWS, PASS_RATE = "new_rows", "pass_rate"
# More rows of a commit tell no more of it, and 50,000 are 15 MB.
ROWS_CHECKED = 50_000
_EXAMPLES = 3
_DESCRIPTIONS = {
    "uniqueness": "No row, and no record of Kafka, is stored twice.",
    "completeness": "Every column that must have a value has one.",
    "validity": "Every value keeps the contract: its values, patterns, lengths.",
    "timeliness": "Rows are written soon after their Kafka records.",
    "accuracy": "Values are plausible: within bounds, not in the future, distributed as expected.",
    "consistency": "The tables and the log agree: nothing missing, nothing in two places.",
    NEW_ROWS: "The rows of the newest commit keep what is expected of single rows.",
    PASS_RATE: "Nearly every row keeps every expectation of a row.",
}


def check_names(suite: Suite, table: tables.Table) -> tuple[str, ...]:
    """The checks of a table, in the order in which they are shown."""
    dimensions = dict.fromkeys(expected.dimension for expected in suite.expectations)
    more = (PASS_RATE,) if table.name == tables.transactions().name else ()
    return (NEW_ROWS, *dimensions, *more)


def table_checks(table: tables.Table) -> dg.AssetChecksDefinition:
    """The checks of one table; a run evaluates its suite once for all of them that are asked for."""
    settings = load_quality()
    suite = SUITES[table.name](settings)
    specs = [
        # What blocks is decided by each result: only a critical breach is an error, and only errors block.
        dg.AssetCheckSpec(name, asset=table_key(table.name), blocking=True, description=_DESCRIPTIONS[name])
        for name in check_names(suite, table)
    ]

    @dg.multi_asset_check(name=f"{table.name}_quality", specs=specs, can_subset=True, pool="quality")
    def run_checks(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        """Raises CheckError where a suite could not be evaluated: an error of the check, not a failure of the data."""
        wanted = {key.name for key in context.selected_asset_check_keys}
        for result in _results(lake, table, suite, settings, wanted):
            yield result
            context.instance.report_runless_asset_event(_without_run(result))

    return run_checks


def _results(
    lake: LakeResource, table: tables.Table, suite: Suite, settings: QualitySettings, wanted: set[str]
) -> Iterator[dg.AssetCheckResult]:
    if NEW_ROWS in wanted:
        yield _newest_rows(lake, table, suite)
    if wanted - {NEW_ROWS}:
        yield from (result for result in _whole_table(lake, table, suite, settings) if result.check_name in wanted)


def _without_run(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The result once more, as an event without a run.

    Dagster takes a run's result for outdated as soon as the asset is materialized again, here 5 s later, and shows the
    check as not evaluated. What the stream reports has no run either, which counts as the same one.
    """
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key or dg.AssetKey([]),
        check_name=result.check_name or "",
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata or {},
        blocking=True,
    )


def _newest_rows(lake: LakeResource, table: tables.Table, suite: Suite) -> dg.AssetCheckResult:
    with lake.catalog() as catalog:
        opened = catalog.load_table(table.identifier)
        snapshot = current_snapshot(opened)
        rows = added_rows(opened, snapshot.snapshot_id, limit=ROWS_CHECKED) if snapshot else None
    outcomes = new_rows.check(suite, rows) if rows is not None else ()
    return dg.AssetCheckResult(
        check_name=NEW_ROWS,
        asset_key=table_key(table.name),
        **verdict(outcomes),
        metadata=new_rows_metadata(outcomes, rows.num_rows if rows is not None else 0),
    )


def verdict(outcomes: Sequence[CheckOutcome]) -> dict[str, Any]:
    """`passed`, `severity` and `description` of a result: an error where something critical is broken."""
    broken = [outcome for outcome in outcomes if not outcome.passed]
    severe = any(outcome.critical for outcome in broken) or not broken
    return {
        "passed": not broken,
        "severity": dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
        "description": f"Broken: {'; '.join(outcome.name for outcome in broken)}" if broken else None,
    }


def new_rows_metadata(outcomes: Sequence[CheckOutcome], rows: int) -> dict[str, Any]:
    """Short, since there is one with each commit: every 5 s."""
    return {"rows": rows, "rows_broken": sum(outcome.unexpected or 0 for outcome in outcomes)}


def _whole_table(
    lake: LakeResource, table: tables.Table, suite: Suite, settings: QualitySettings
) -> Iterator[dg.AssetCheckResult]:
    from quality.runner import run

    if lost := _lost_files(lake, table):
        yield dg.AssetCheckResult(
            check_name="consistency",
            asset_key=table_key(table.name),
            **verdict((lost,)),
            metadata={"expectations": _table((lost,)), "expectations_broken": 1},
        )
        raise CheckError(f"no suite can be evaluated, as data files of {table.name} are missing: {lost.examples[0]}")
    with lake.catalog() as catalog:
        pinned = pin(catalog, tables.stream_tables())
        offsets = _offsets(catalog, lake) if table.name == tables.transactions().name else ()
    found = run(suite, pinned)
    snapshot = {"snapshot_id": str(pinned[table.name].snapshot_id)}
    by_dimension = sorted((*found.outcomes, *offsets), key=lambda outcome: outcome.dimension)
    for dimension, group in groupby(by_dimension, key=lambda outcome: outcome.dimension):
        outcomes = list(group)
        yield dg.AssetCheckResult(
            check_name=dimension,
            asset_key=table_key(table.name),
            **verdict(outcomes),
            metadata={
                "expectations": _table(outcomes),
                "expectations_broken": sum(not outcome.passed for outcome in outcomes),
                "rows": found.rows,
                **snapshot,
            },
        )
    rate = found.pass_rate
    yield dg.AssetCheckResult(
        check_name=PASS_RATE,
        asset_key=table_key(table.name),
        passed=rate is None or rate >= settings.pass_rate,
        description=None if rate is not None else "The table has no rows yet, so there was nothing to check.",
        metadata={
            **({"pass_rate": rate} if rate is not None else {}),
            "wanted_pass_rate": settings.pass_rate,
            "rows": found.rows,
            "rows_broken": found.broken,
            **snapshot,
        },
    )


def _lost_files(lake: LakeResource, table: tables.Table) -> CheckOutcome | None:
    """Return the breach that data files are missing which the newest snapshot names; None if all are there."""
    # DuckDB is loaded when a check runs, never with this module.
    from lake.examination import lost_files
    from lake.locations import metadata_locations

    addresses = lake.addresses()
    location = metadata_locations(addresses)[table.name]
    lost = lost_files({table.name: location}, addresses.iceberg_warehouse).get(table.name)
    if not lost:
        return None
    said = "every data file that the newest snapshot names is there"
    return CheckOutcome(said, "consistency", True, passed=False, rows=0, unexpected=None, examples=lost[:_EXAMPLES])


def _offsets(catalog: Catalog, lake: LakeResource) -> tuple[CheckOutcome, ...]:
    """Tell whether the tables hold every record of the log once; nothing while Kafka cannot be asked."""
    # DuckDB is loaded when a check runs, never with this module.
    import duckdb

    from pipeline_assets.lib import offset_agreement

    try:
        problems = offset_agreement.disagreements(catalog, lake.addresses())
    except (NotRunning, duckdb.IOException):
        return ()
    return (
        CheckOutcome(
            name="every Kafka record is a transaction or a dead letter, once",
            dimension="consistency",
            critical=True,
            passed=not problems,
            rows=0,
            unexpected=None,
            examples=problems,
        ),
    )


def _table(outcomes: Sequence[CheckOutcome]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "expectation": outcome.name,
                    "passed": "yes" if outcome.passed else "NO",
                    "on breach": "error" if outcome.critical else "warning",
                    "unexpected rows": outcome.unexpected if outcome.unexpected is not None else "",
                    "examples": ", ".join(outcome.examples),
                }
            )
            for outcome in sorted(outcomes, key=lambda outcome: outcome.passed)
        ]
    )


CHECKS = tuple(table_checks(table) for table in tables.stream_tables())
