"""What Dagster runs by itself to judge the data, and when. Maintenance has its jobs beside its assets."""

import dagster as dg

from pipeline_assets.checks import CHECKS
from pipeline_assets.lineage_export import JOB, openlineage
from pipeline_assets.reports import data_docs
from pipeline_assets.sessions import sessions

quality = dg.define_asset_job(
    "quality",
    selection=dg.AssetSelection.checks(*CHECKS),
    description="Holds every row of every table against its suite: the contract, and the six dimensions.",
)

# A run takes some 20 s and leaves 250 kB in Dagster's storage; the rows of each commit are checked at once anyway.
quality_schedule = dg.ScheduleDefinition(
    job=quality, cron_schedule="*/30 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)

data_docs_job = dg.define_asset_job(
    "data_docs",
    selection=dg.AssetSelection.assets(data_docs),
    description="Builds the pages of Great Expectations anew.",
)

data_docs_schedule = dg.ScheduleDefinition(
    job=data_docs_job, cron_schedule="15 3 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)

bookkeeping_job = dg.define_asset_job(
    JOB,
    selection=dg.AssetSelection.assets(sessions, openlineage),
    description="Counts what the running session has done so far, and exports the lineage of it.",
)

# A run takes some 5 s of a core; a shorter period would tell little more.
bookkeeping_schedule = dg.ScheduleDefinition(
    job=bookkeeping_job, cron_schedule="*/10 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
