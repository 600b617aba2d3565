"""Reports every new commit of every table once, in order, as a materialization.

The cursor is the last snapshot that was read, so nothing is lost or told twice over restarts and downtime.
"""

import dagster as dg
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from contracts import tables
from contracts.errors import NotRunning
from lake.snapshots import snapshots_after
from pipeline_assets import columns
from pipeline_assets.lib.commit_latency import commit_latency, time_column
from pipeline_assets.lib.snapshot_cursor import SnapshotCursor
from pipeline_assets.materializations import materialization
from pipeline_assets.resources import LakeResource

# After downtime a tick catches up by this much at most, so that it ends well before Dagster gives up on it (60 s).
SNAPSHOTS_A_TICK = 50
# Rows of a table whose latency is read in a tick: 50 commits of 250,000 rows would be 100 MB of timestamps.
ROWS_A_TICK = 2_000_000


@dg.sensor(minimum_interval_seconds=5, default_status=dg.DefaultSensorStatus.RUNNING)
def iceberg_snapshots(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Reports every new Iceberg commit of every table once, in order, as a materialization of the table."""
    cursor = SnapshotCursor.decode(context.cursor)
    events: list[dg.AssetMaterialization] = []
    try:
        with lake.catalog() as catalog:
            for definition in tables.all_tables():
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
) -> tuple[list[dg.AssetMaterialization], SnapshotCursor]:
    """The events of the commits after `cursor`, and the cursor after the last one read."""
    events: list[dg.AssetMaterialization] = []
    schema = columns.of_iceberg(table.schema())
    since = time_column(definition)
    rows = 0
    for facts in snapshots_after(table, cursor.after(definition.name), SNAPSHOTS_A_TICK):
        if not facts.maintenance:
            latency = commit_latency(table, facts.snapshot_id, since=since) if facts.added_rows else None
            events.append(materialization(definition.name, facts, schema=schema, latency=latency))
        cursor = cursor.advanced(definition.name, facts.snapshot_id)
        rows += facts.added_rows or 0
        if rows >= ROWS_A_TICK:
            break
    return events, cursor
