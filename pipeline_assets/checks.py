"""The asset checks: each runs a suite of `quality/` on a pinned snapshot and tells Dagster what came of it.

Great Expectations is imported when a check runs, never with this module: it costs 3 s and 260 MB that the code
server, which only has to know the checks, would hold for ever.
"""

import dagster as dg

from contracts import names, tables
from lake.snapshots import SnapshotFacts, current_snapshot
from pipeline_assets.graph import table_key
from pipeline_assets.resources import LakeResource
from quality.outcome import CheckOutcome


@dg.asset_check(
    asset=table_key(names.TRANSACTIONS),
    description="Every row keeps the transaction contract, and no transaction or Kafka record is stored twice.",
)
def transactions_contract(lake: LakeResource) -> dg.AssetCheckResult:
    """Raises CheckError where the suite could not be evaluated: an error of the check, not a failure of the data."""
    with lake.catalog() as catalog:
        snapshot = current_snapshot(catalog.load_table(tables.transactions().identifier))
    if snapshot is None or not snapshot.total_rows:
        return dg.AssetCheckResult(passed=True, description="The table has no rows yet, so there was nothing to check.")
    from quality.runner import run
    from quality.suites.transactions import suite

    return _result(run(suite(), snapshot.metadata_location, snapshot.snapshot_id), snapshot)


def _result(outcomes: tuple[CheckOutcome, ...], snapshot: SnapshotFacts) -> dg.AssetCheckResult:
    broken = [outcome for outcome in outcomes if not outcome.passed]
    table = [
        dg.TableRecord(
            {
                "expectation": outcome.name,
                "dimension": outcome.dimension,
                "passed": "yes" if outcome.passed else "NO",
                "unexpected rows": outcome.unexpected if outcome.unexpected is not None else "",
                "examples": ", ".join(outcome.examples),
            }
        )
        for outcome in sorted(outcomes, key=lambda outcome: outcome.passed)
    ]
    return dg.AssetCheckResult(
        passed=not broken,
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"Broken: {'; '.join(outcome.name for outcome in broken)}" if broken else None,
        metadata={
            "expectations": dg.MetadataValue.table(table),
            "expectations_broken": len(broken),
            "rows": outcomes[0].rows if outcomes else 0,
            "snapshot_id": str(snapshot.snapshot_id),
        },
    )
