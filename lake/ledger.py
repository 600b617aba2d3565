"""The ledger of commits, `finance.commits`: which commit of the stream brought which records.

Commits are forgotten (`expiry.py`) and files merged (`compaction.py`). What stands here outlives both: by the place of
its record in Kafka a row can be traced to the commit, the job and the checkpoint that brought it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from contracts import tables
from contracts.sessions import began
from lake.added import added_rows
from lake.snapshots import SnapshotFacts, snapshots_after

# In the ledger's own snapshots: how far each table is recorded, in one step with the rows that say so.
_POSITION = "recorded."


@dataclass(frozen=True)
class Recorded:
    """What one call did: commits and rows recorded, and by table the snapshot that was recorded last."""

    commits: int
    rows: int
    positions: Mapping[str, int]


def positions(ledger: Table) -> dict[str, int]:
    """By table, the id of the snapshot that was recorded last; none for a table of which none was."""
    for commit in reversed(snapshots_after(ledger, None)):
        snapshot = ledger.snapshot_by_id(commit.snapshot_id)
        summary = snapshot.summary.additional_properties if snapshot and snapshot.summary else {}
        if found := {name: value for name, value in summary.items() if name.startswith(_POSITION)}:
            return {name.removeprefix(_POSITION): int(value) for name, value in found.items()}
    return {}


def record(catalog: Catalog, *, session: str | None = None, limit: int = 500) -> Recorded:
    """Records the commits after those that are, at most `limit` a table, in one commit to the ledger.

    `session` is the running one; commits before its beginning get none. A commit whose files maintenance has removed is
    recorded without its offsets.
    """
    definition = tables.commits()
    ledger = catalog.load_table(definition.identifier)
    reached = positions(ledger)
    rows: list[dict[str, object]] = []
    commits = 0
    for table in tables.stream_tables():
        opened = catalog.load_table(table.identifier)
        for facts in snapshots_after(opened, reached.get(table.name), limit):
            reached[table.name] = facts.snapshot_id
            if not facts.maintenance:
                rows += _rows(opened, table, facts, session)
                commits += 1
    if rows:
        properties = {f"{_POSITION}{name}": str(snapshot) for name, snapshot in reached.items()}
        data = pa.Table.from_pylist(rows, schema=ledger.schema().as_arrow())
        ledger.append(data, snapshot_properties=properties)
    return Recorded(commits, len(rows), reached)


def _rows(opened: Table, table: tables.Table, facts: SnapshotFacts, session: str | None) -> Iterator[dict[str, object]]:
    commit: dict[str, object] = {
        "table_name": table.name,
        "snapshot_id": facts.snapshot_id,
        "sequence_number": facts.sequence_number or 0,
        "committed_at": facts.committed_at,
        "flink_job_id": facts.flink_job_id,
        "flink_checkpoint_id": facts.flink_checkpoint_id,
        "session_id": session if session and began(session) <= facts.committed_at else None,
    }
    ranges = list(offsets_added(opened, table, facts)) if facts.added_rows else []
    for partition, records, first, last in ranges:
        yield commit | {
            "records": records, "source_partition": partition, "first_offset": first, "last_offset": last,
        }  # fmt: skip
    if not ranges:
        yield commit | {"records": facts.added_rows or 0}


def offsets_added(opened: Table, table: tables.Table, facts: SnapshotFacts) -> Iterator[tuple[int, int, int, int]]:
    """By Kafka partition: the partition, the rows that the commit brought from it, their lowest and highest offset."""
    partition, offset = table.position
    added = added_rows(opened, facts.snapshot_id, columns=(partition, offset))
    if added is None:
        return
    grouped = added.group_by(partition).aggregate([(offset, "count"), (offset, "min"), (offset, "max")])
    for row in grouped.sort_by(partition).to_pylist():
        yield row[partition], row[f"{offset}_count"], row[f"{offset}_min"], row[f"{offset}_max"]
