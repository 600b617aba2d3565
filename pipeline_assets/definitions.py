"""The code location: everything Dagster is told about. Orchestration is assembled here and nothing is implemented."""

import dagster as dg

from pipeline_assets.checks import transactions_contract
from pipeline_assets.graph import stream
from pipeline_assets.jobs import transactions_quality, transactions_quality_schedule
from pipeline_assets.reports import stream_summary
from pipeline_assets.resources import resources
from pipeline_assets.sensors.iceberg_snapshots import iceberg_snapshots
from pipeline_assets.sensors.stream_observations import stream_observations

defs = dg.Definitions(
    assets=[*stream(), stream_summary],
    asset_checks=[transactions_contract],
    jobs=[transactions_quality],
    schedules=[transactions_quality_schedule],
    sensors=[iceberg_snapshots, stream_observations],
    resources=resources(),
    # A process for each step would double a run's memory; every job here has few steps.
    executor=dg.in_process_executor,
)
