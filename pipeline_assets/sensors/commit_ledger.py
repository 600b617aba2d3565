"""Keeps the ledger of commits: every two minutes, what was committed since, so that forgotten commits can be traced."""

import os

import dagster as dg
from pyiceberg.exceptions import NoSuchTableError

from contracts import names
from contracts.errors import NotRunning
from lake.ledger import record
from pipeline_assets.graph import table_key
from pipeline_assets.resources import LakeResource

# Of the process, which `pipeline up` has started; a Dagster that was started otherwise knows of none.
_SESSION = "PIPELINE_SESSION"


@dg.sensor(minimum_interval_seconds=120, default_status=dg.DefaultSensorStatus.RUNNING)
def commit_ledger(lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Records which commit brought which records, in finance.commits."""
    try:
        with lake.catalog() as catalog:
            done = record(catalog, session=os.environ.get(_SESSION))
    except (NotRunning, NoSuchTableError) as error:
        return dg.SkipReason(str(error))
    if not done.commits:
        return dg.SkipReason("no new commits")
    event = dg.AssetMaterialization(
        table_key(names.COMMITS), metadata={"commits_recorded": done.commits, "rows_added": done.rows}
    )
    return dg.SensorResult(asset_events=[event])
