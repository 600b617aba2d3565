"""The lineage export: what the sessions, the Flink jobs and Dagster's runs did, as OpenLineage events.

Into a file of the state folder, or to wherever OpenLineage's own variables say (`OPENLINEAGE_URL` with
`OPENLINEAGE_API_KEY`, or `OPENLINEAGE_CONFIG`). What takes memory is imported by the run, not by the code server.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pyiceberg.catalog import Catalog

from contracts import names, tables
from contracts.paths import StatePaths
from pipeline_assets.graph import OWNERS, table_key
from pipeline_assets.resources import LakeResource

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

    from pipeline_assets.lib.lineage_events import Growth

JOB = "bookkeeping"
_CONFIGURED = "OPENLINEAGE_"


@dataclass(frozen=True)
class ExportCursor:
    """How far the events tell: of each table the newest commit's sequence number, of each session its state, of
    Dagster's runs when the last of them was updated (seconds since the epoch)."""

    commits: Mapping[str, int] = field(default_factory=dict)
    sessions: Mapping[str, str] = field(default_factory=dict)
    runs_until: float = 0

    @classmethod
    def read(cls, path: Path) -> "ExportCursor":
        """That in the file `path`; the beginning where there is none."""
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()

    def write(self, path: Path) -> None:
        """Replaces the file `path` in one step."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(path)


@dg.asset(
    key=["reports", "openlineage"],
    deps=[table_key(names.SESSIONS), table_key(names.COMMITS)],
    group_name="reports",
    kinds={"openlineage"},
    owners=OWNERS,
)
def openlineage(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult[None]:
    """What ran since the last time, what it read and which versions it wrote, as OpenLineage events."""
    from lake.sessions import read
    from pipeline_assets.finished_runs import finished_runs
    from pipeline_assets.lib.lineage_events import Events

    addresses = lake.addresses()
    paths = StatePaths(Path(addresses.pipeline_state))
    paths.lineage_events.parent.mkdir(parents=True, exist_ok=True)
    before = ExportCursor.read(paths.lineage_cursor)
    make = Events(addresses)
    events: list[RunEvent] = []
    with lake.catalog() as catalog:
        grown = list(_growth(catalog, lake.warehouse, before.commits))
        sessions = sorted(read(catalog), key=lambda session: session.started_at)
    for session in sessions:
        own = {one.table: one for one in grown if one.session_id == session.session_id}
        events += make.of_session(session, before.sessions.get(session.session_id), own)
    runs_until = before.runs_until
    for ran, updated in finished_runs(context.instance, since=before.runs_until, without=JOB):
        events += make.of_run(ran)
        runs_until = updated
    client, where = _client(paths)
    for event in events:
        client.emit(event)
    # After the events: sent twice they say the same, not sent they are missing.
    replace(
        before,
        commits={**before.commits, **{one.table: one.sequence_number for one in sorted(grown, key=_place)}},
        sessions={session.session_id: session.state for session in sessions},
        runs_until=runs_until,
    ).write(paths.lineage_cursor)
    return dg.MaterializeResult(metadata={"events": len(events), "sent_to": where})


def _place(growth: "Growth") -> int:
    return growth.sequence_number


def _growth(catalog: Catalog, warehouse: str, since: Mapping[str, int]) -> Iterator["Growth"]:
    """What each session committed to each table after these sequence numbers, as the ledger has it."""
    from lake.duck import connect
    from pipeline_assets.lib.lineage_events import Growth

    with connect(catalog, warehouse) as connection:
        for table in tables.stream_tables():
            answer = connection.execute(
                f"SELECT session_id, max_by(snapshot_id, sequence_number), max(sequence_number), max(committed_at), "
                f"sum(records), max_by(flink_job_id, sequence_number) FROM {names.COMMITS} WHERE table_name = $table "
                "AND sequence_number > $since AND session_id IS NOT NULL GROUP BY session_id",
                {"table": table.name, "since": since.get(table.name, 0)},
            )
            for session, snapshot, sequence, committed_at, rows, job in answer.fetchall():
                yield Growth(session, table.name, snapshot, sequence, committed_at, int(rows), job)


def _client(paths: StatePaths) -> tuple["OpenLineageClient", str]:
    """Whoever sends the events, and where to, in words."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    if any(name.startswith(_CONFIGURED) for name in os.environ):
        client = OpenLineageClient()
        return client, os.environ.get("OPENLINEAGE_URL", client.transport.kind or "as configured")
    path = str(paths.lineage_events)
    return OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=path, append=True))), path
