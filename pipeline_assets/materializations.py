"""One Iceberg commit as a Dagster event: the single place that knows the names of its metadata."""

from typing import Any

import dagster as dg

from lake.snapshots import SnapshotFacts
from pipeline_assets.graph import table_key
from pipeline_assets.lib.commit_latency import CommitLatency


def materialization(
    table: str, facts: SnapshotFacts, *, schema: dg.TableSchema | None, latency: CommitLatency | None
) -> dg.AssetMaterialization:
    """The event for the commit `facts` of `table`. What the writer did not state is left out, never guessed.

    `schema` is given where it is not that of the asset.
    """
    metadata: dict[str, Any] = {
        "dagster/row_count": facts.total_rows,
        "dagster/column_schema": schema,
        "rows_added": facts.added_rows,
        "files_added": facts.added_files,
        "files": facts.total_files,
        "bytes_added": facts.added_bytes,
        "bytes": facts.total_bytes,
        "committed_at": dg.MetadataValue.timestamp(facts.committed_at),
        # As text: 64-bit ids lose their last digits in a browser.
        "snapshot_id": str(facts.snapshot_id),
        "operation": facts.operation,
        "flink_job_id": facts.flink_job_id,
        "flink_checkpoint_id": facts.flink_checkpoint_id,
    }
    if latency:
        metadata |= {
            "latency_p50_ms": latency.p50_ms,
            "latency_p95_ms": latency.p95_ms,
            "latency_max_ms": latency.max_ms,
            "latency_since": latency.since,
        }
    if facts.after_gap:
        metadata["gap"] = "Commits before this one expired before they could be reported."
    return dg.AssetMaterialization(
        asset_key=table_key(table),
        metadata={name: value for name, value in metadata.items() if value is not None},
        tags={"dagster/data_version": str(facts.snapshot_id)},
    )
