"""The code location: everything Dagster is told about. Orchestration is assembled here and nothing is implemented."""

import dagster as dg

from pipeline_assets.checks import CHECKS
from pipeline_assets.dagster_history import dagster_history, history_job, history_schedule
from pipeline_assets.graph import stream
from pipeline_assets.jobs import (
    bookkeeping_job,
    bookkeeping_schedule,
    data_docs_job,
    data_docs_schedule,
    quality,
    quality_schedule,
)
from pipeline_assets.lineage_export import openlineage
from pipeline_assets.maintenance import (
    compaction,
    maintenance_job,
    maintenance_schedule,
    orphan_files,
    repeated_rows,
    snapshot_expiry,
)
from pipeline_assets.reports import column_lineage, data_docs, generator_score, stream_summary
from pipeline_assets.resources import resources
from pipeline_assets.sensors.commit_ledger import commit_ledger
from pipeline_assets.sensors.iceberg_snapshots import iceberg_snapshots
from pipeline_assets.sensors.stream_observations import stream_observations
from pipeline_assets.sessions import sessions

defs = dg.Definitions(
    assets=[
        *stream(),
        sessions,
        stream_summary,
        generator_score,
        column_lineage,
        openlineage,
        data_docs,
        compaction,
        snapshot_expiry,
        orphan_files,
        repeated_rows,
        dagster_history,
    ],
    asset_checks=CHECKS,
    jobs=[quality, data_docs_job, maintenance_job, history_job, bookkeeping_job],
    schedules=[quality_schedule, data_docs_schedule, maintenance_schedule, history_schedule, bookkeeping_schedule],
    sensors=[iceberg_snapshots, stream_observations, commit_ledger],
    resources=resources(),
    # A process for each step would double a run's memory; every job here has few steps.
    executor=dg.in_process_executor,
)
