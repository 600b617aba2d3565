"""Reports every new commit of every table once, in order, as a materialization, and what a check found in its rows.

The cursor is the last snapshot that was read, so nothing is lost or told twice over restarts and downtime.
"""

import dagster as dg
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from contracts import tables
from contracts.errors import NotRunning
from lake.added import added_rows
from lake.snapshots import SnapshotFacts, snapshots_after
from pipeline_assets.checks import NEW_ROWS, ROWS_CHECKED, new_rows_metadata, verdict
from pipeline_assets.columns import changed_schema
from pipeline_assets.graph import table_key
from pipeline_assets.lib.commit_latency import commit_latency, time_column
from pipeline_assets.lib.snapshot_cursor import SnapshotCursor
from pipeline_assets.materializations import materialization
from pipeline_assets.resources import LakeResource
from quality import new_rows
from quality.outcome import CheckOutcome
from quality.settings import load_quality
from quality.suites.catalogue import SUITES

# After downtime a tick catches up by this much at most, so that it ends well before Dagster gives up on it (60 s).
SNAPSHOTS_A_TICK = 50
# Rows of a table that are read in a tick: 50 commits of 50,000 rows would take too long.
ROWS_A_TICK = 500_000


@dg.sensor(minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def iceberg_snapshots(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Reports every new Iceberg commit of every table once, in order, as a materialization of the table."""
    cursor = SnapshotCursor.decode(context.cursor)
    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    try:
        with lake.catalog() as catalog:
            for definition in tables.stream_tables():
                try:
                    table = catalog.load_table(definition.identifier)
                except NoSuchTableError:
                    context.log.info("the table %s does not exist yet", definition.identifier)
                    continue
                found, cursor = _read(table, definition, cursor)
                events += found
    except NotRunning as error:
        return dg.SkipReason(str(error))
    if not events:
        return dg.SensorResult(skip_reason="no new commits", cursor=cursor.encode())
    return dg.SensorResult(asset_events=events, cursor=cursor.encode())


def _read(
    table: Table, definition: tables.Table, cursor: SnapshotCursor
) -> tuple[list[dg.AssetMaterialization | dg.AssetCheckEvaluation], SnapshotCursor]:
    """The events of the commits after `cursor`, and the cursor after the last one read."""
    events: list[dg.AssetMaterialization | dg.AssetCheckEvaluation] = []
    suite = SUITES[definition.name](load_quality())
    schema, since, rows = changed_schema(table, definition), time_column(definition), 0
    for facts in snapshots_after(table, cursor.after(definition.name), SNAPSHOTS_A_TICK):
        if not facts.maintenance:
            added = added_rows(table, facts.snapshot_id, limit=ROWS_CHECKED) if facts.added_rows else None
            latency = commit_latency(added, facts.committed_at, since=since) if added is not None else None
            events.append(materialization(definition.name, facts, schema=schema, latency=latency))
            if added is not None:
                events.append(_evaluation(definition.name, facts, new_rows.check(suite, added), added.num_rows))
        cursor = cursor.advanced(definition.name, facts.snapshot_id)
        rows += min(facts.added_rows or 0, ROWS_CHECKED)
        if rows >= ROWS_A_TICK:
            break
    return events, cursor


def _evaluation(
    table: str, facts: SnapshotFacts, outcomes: tuple[CheckOutcome, ...], rows: int
) -> dg.AssetCheckEvaluation:
    metadata = {**new_rows_metadata(outcomes, rows), "snapshot_id": str(facts.snapshot_id)}
    return dg.AssetCheckEvaluation(
        asset_key=table_key(table), check_name=NEW_ROWS, metadata=metadata, blocking=True, **verdict(outcomes)
    )
