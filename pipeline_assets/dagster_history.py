"""Keeps Dagster's own databases small: an asset that prunes them, and when it does so."""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from pipeline_assets.graph import OWNERS
from pipeline_assets.lib.dagster_history import prune


class Retention(dg.Config):
    """How much of Dagster's history stays."""

    hours: int = Field(default=24, ge=1, description="Runs and events that are older are removed.")
    keep: int = Field(default=1_000, ge=1, description="Of the events of the stream so many stay, however old.")
    dry_run: bool = Field(default=False, description="Only say what would be removed.")


@dg.asset(
    key=["maintenance", "dagster_history"],
    group_name="maintenance",
    kinds={"dagster", "sqlite"},
    owners=OWNERS,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=30),
)
def dagster_history(context: dg.AssetExecutionContext, config: Retention) -> dg.MaterializeResult[None]:
    """Removes finished runs and reported events that are old, so that Dagster's databases stay bounded."""
    before = datetime.now(UTC) - timedelta(hours=config.hours)
    pruned = prune(context.instance, before=before, keep=config.keep, dry_run=config.dry_run)
    return dg.MaterializeResult(
        metadata={
            "dry_run": config.dry_run,
            "older_than": dg.MetadataValue.timestamp(before),
            "runs_removed": pruned.runs,
            "events_removed": pruned.events,
            "bytes_before": pruned.bytes_before,
            "bytes_after": pruned.bytes_after,
        }
    )


history_job = dg.define_asset_job(
    "dagster_history",
    selection=dg.AssetSelection.assets(dagster_history),
    description="Prunes Dagster's own runs and events.",
)

# Some 3,000 events an hour pile up in between; SQLite fills the pages that were freed, so the file stays as it is.
history_schedule = dg.ScheduleDefinition(
    job=history_job, cron_schedule="25 */6 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
