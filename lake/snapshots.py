"""Reads an Iceberg table's history: which commits were made since a known one, and what each of them added.

Only table metadata is read here, never a manifest or a data file; what the rows say is asked elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from contracts import names


@dataclass(frozen=True)
class SnapshotFacts:
    """One commit. Sizes are in bytes; a number that the writer did not state is None.

    `added_rows` is 0 for the empty commits that Flink makes while nothing arrives. `maintenance` marks commits that
    rewrote old rows and brought no new ones. `after_gap` is True where the commit asked for has expired (PyIceberg's
    expiry also unlinks what followed it), so that commits between it and this one may be lost to sight.
    `metadata_location` is the table metadata it was read from.
    """

    snapshot_id: int
    parent_id: int | None
    sequence_number: int | None
    committed_at: datetime
    operation: str | None
    added_rows: int | None
    total_rows: int | None
    added_files: int | None
    total_files: int | None
    added_bytes: int | None
    total_bytes: int | None
    flink_job_id: str | None
    flink_checkpoint_id: int | None
    maintenance: bool
    metadata_location: str
    after_gap: bool = False


def snapshots_after(table: Table, snapshot_id: int | None, limit: int | None = None) -> tuple[SnapshotFacts, ...]:
    """The commits after `snapshot_id` (None: all retained ones) up to the current one, oldest first, at most `limit`.

    Only the line of ancestors of the current snapshot counts. Where the table was rolled back behind `snapshot_id`,
    they start after the ancestor that both share; where no shared ancestor is retained, with the oldest retained.
    """
    retained = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    known = {snapshot_id} | {ancestor.snapshot_id for ancestor in _ancestry(retained, snapshot_id)}
    unseen: list[Snapshot] = []
    reached = snapshot_id is None
    for snapshot in _ancestry(retained, table.metadata.current_snapshot_id):
        if snapshot.snapshot_id in known:
            reached = True
            break
        unseen.append(snapshot)
    unseen.reverse()
    found = tuple(_facts(snapshot, table.metadata_location) for snapshot in unseen[:limit])
    return found if reached or not found else (replace(found[0], after_gap=True), *found[1:])


def current_snapshot(table: Table) -> SnapshotFacts | None:
    """The commit that a reader of `table` sees now; None before the first."""
    snapshot = table.current_snapshot()
    return _facts(snapshot, table.metadata_location) if snapshot else None


def newest_stream_commit(table: Table) -> datetime | None:
    """When Flink last committed to `table` (aware, UTC), with rows or without; None where none is retained."""
    retained = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    commits = (_facts(snapshot, "") for snapshot in _ancestry(retained, table.metadata.current_snapshot_id))
    return next((commit.committed_at for commit in commits if commit.flink_job_id), None)


def _ancestry(retained: Mapping[int, Snapshot], newest: int | None) -> Iterator[Snapshot]:
    """From `newest` backwards, as far as it is retained. PyIceberg's own walk searches a list at each step."""
    while newest is not None and (snapshot := retained.get(newest)) is not None:
        yield snapshot
        newest = snapshot.parent_snapshot_id


def _facts(snapshot: Snapshot, metadata_location: str) -> SnapshotFacts:
    summary = snapshot.summary.additional_properties if snapshot.summary else {}
    return SnapshotFacts(
        snapshot_id=snapshot.snapshot_id,
        parent_id=snapshot.parent_snapshot_id,
        sequence_number=snapshot.sequence_number,
        committed_at=datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC),
        operation=snapshot.summary.operation.value if snapshot.summary else None,
        added_rows=_added(summary, "added-records", "total-records"),
        total_rows=_number(summary, "total-records"),
        added_files=_added(summary, "added-data-files", "total-data-files"),
        total_files=_number(summary, "total-data-files"),
        added_bytes=_added(summary, "added-files-size", "total-files-size"),
        total_bytes=_number(summary, "total-files-size"),
        flink_job_id=summary.get(names.FLINK_JOB_ID_PROPERTY),
        flink_checkpoint_id=_number(summary, names.FLINK_CHECKPOINT_PROPERTY),
        maintenance=names.MAINTENANCE_PROPERTY in summary,
        metadata_location=metadata_location,
    )


def _added(summary: Mapping[str, str], name: str, total: str) -> int | None:
    """Return what a commit added. Iceberg leaves a 0 out, but not the total that belongs to it."""
    added = _number(summary, name)
    return 0 if added is None and total in summary else added


def _number(summary: Mapping[str, str], name: str) -> int | None:
    text = summary.get(name)
    return int(text) if text is not None else None
