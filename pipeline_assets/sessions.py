"""The sessions as an asset: counted every ten minutes, so that its plots show what the stream did over time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dagster as dg

from contracts import tables
from contracts.errors import NotRunning
from contracts.sessions import current_session, versions
from pipeline_assets.graph import kept_table, table_key
from pipeline_assets.resources import FlinkResource, LakeResource

if TYPE_CHECKING:
    from lake.sessions import Session

_SHOWN = 20
_PLOTTED = (
    "records", "transactions", "rejected", "alerts", "restarts",
    *(f"{kind}_latency_p{percent}_ms" for kind in ("alert", "storage") for percent in (50, 95, 99)),
)  # fmt: skip
_UPSTREAM = [table_key(table.name) for table in tables.appended_tables()]


# By its specification, as the tables that are not made here.
@dg.multi_asset(specs=[kept_table(tables.sessions(), deps=_UPSTREAM)])
def sessions(lake: LakeResource, flink: FlinkResource) -> dg.MaterializeResult[None]:
    """Counts what the running session has read, refused and alerted on, and closes those that ended without a word."""
    # With the run, not with the module: DuckDB would stay in the code server's memory.
    from lake.sessions import read, update

    now = datetime.now(UTC)
    try:
        restarts = sum(job.restarts or 0 for job in flink.jobs())
    except NotRunning:
        restarts = None
    session = current_session()
    with lake.catalog() as catalog:
        written = update(
            catalog, lake.warehouse, session, now=now, restarts=restarts, versions=versions() if session else None
        )
        known = sorted(read(catalog), key=lambda one: one.started_at, reverse=True)
    if not written:
        return dg.MaterializeResult(metadata={"note": "No session runs."})
    newest = written[-1]
    plotted = {name: getattr(newest, name) for name in _PLOTTED}
    return dg.MaterializeResult(
        metadata={
            "session": newest.session_id,
            "state": newest.state,
            "records_per_second": round(newest.records / max(1.0, (now - newest.started_at).total_seconds()), 3),
            **{name: value for name, value in plotted.items() if value is not None},
            "sessions": _table(known[:_SHOWN]),
        },
    )


def _table(found: Sequence["Session"]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [
            dg.TableRecord(
                {
                    "session": one.session_id,
                    "state": one.state,
                    "started": f"{one.started_at:%Y-%m-%d %H:%M:%S}",
                    "ended": f"{one.ended_at:%Y-%m-%d %H:%M:%S}" if one.ended_at else "",
                    "records": one.records,
                    "rejected": one.rejected,
                    "alerts": one.alerts,
                }
            )
            for one in found
        ]
    )
