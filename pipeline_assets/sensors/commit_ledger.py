"""Keeps the ledger of commits: every two minutes, what was committed since, so that forgotten commits can be traced.

The session's row begins here too: this is the first that looks at the tables. It is counted in `../sessions.py`.
"""

from datetime import UTC, datetime

import dagster as dg
from pyiceberg.exceptions import NoSuchTableError

from contracts import names
from contracts.errors import NotRunning
from contracts.sessions import current_session, versions
from lake.ledger import record
from lake.sessions import begin, running
from pipeline_assets.graph import table_key
from pipeline_assets.resources import LakeResource


@dg.sensor(minimum_interval_seconds=120, default_status=dg.DefaultSensorStatus.RUNNING)
def commit_ledger(lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Records which commit brought which records, in finance.commits, and begins the session's row."""
    session = current_session()
    try:
        with lake.catalog() as catalog:
            if session:
                begin(catalog, session, versions(), now=datetime.now(UTC))
            # Beside the pipeline (`dagster dev`) a commit is of its session all the same.
            done = record(catalog, session=session or running(catalog))
    except (NotRunning, NoSuchTableError) as error:
        return dg.SkipReason(str(error))
    if not done.commits:
        return dg.SkipReason("no new commits")
    event = dg.AssetMaterialization(
        table_key(names.COMMITS), metadata={"commits_recorded": done.commits, "rows_added": done.rows}
    )
    return dg.SensorResult(asset_events=[event])
