"""Snapshot expiry: a table forgets its old commits, but none that somebody still needs.

Rows are never touched. The files that only forgotten commits listed are left to `lake/orphans.py`. A stream that
commits every 5 s makes 720 snapshots an hour, some 0.7 kB each in the metadata file that every commit writes anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table

from lake.snapshots import SnapshotFacts, snapshots_after


@dataclass(frozen=True)
class Expiry:
    """What one call did, or would do: the snapshots that the table had, and those it has now."""

    snapshots_before: int = 0
    snapshots_after: int = 0


def expire(
    table: Table,
    *,
    older_than: datetime,
    keep: int,
    read: Sequence[int | None],
    give_up: datetime,
    dry_run: bool = False,
) -> Expiry:
    """Forgets the commits older than `older_than` (aware) that nobody needs. These stay, and all after them:

    * the newest `keep`;
    * the newest of Flink's: by the checkpoint id in it, Flink's committer knows after a restore what it has committed.
      It looks for it from the current snapshot on backwards, so no link between them may be missing;
    * of each reader the commit it has read last (`read`; None: nothing yet), so that it goes on with the next one. What
      a reader has not read for so long that it is older than `give_up`, is kept for it no longer.

    A commit that a tag or a branch names stays as well, until somebody removes that name.

    Raises CommitFailedException where the table changes again and again meanwhile.
    """
    commits = list(reversed(snapshots_after(table, None)))
    kept = max(
        keep,
        sum(commit.committed_at >= older_than for commit in commits),
        next((place for place, commit in enumerate(commits, start=1) if commit.flink_job_id), 0),
        *(_needed_by_reader(commits, position, give_up) for position in read),
    )
    old = {commit.snapshot_id for commit in commits[kept:]}
    # What is no ancestor of the current snapshot was rolled back; no reader goes on from there.
    line = {commit.snapshot_id for commit in commits}
    old |= {
        snapshot.snapshot_id
        for snapshot in table.snapshots()
        if snapshot.snapshot_id not in line and snapshot.timestamp_ms < older_than.timestamp() * 1000
    }
    old -= {reference.snapshot_id for reference in table.metadata.refs.values()}
    before = len(table.metadata.snapshots)
    if old and not dry_run:
        table.maintenance.expire_snapshots().by_ids(sorted(old)).commit()
    return Expiry(before, before - len(old))


def _needed_by_reader(commits: Sequence[SnapshotFacts], position: int | None, give_up: datetime) -> int:
    """How many of `commits`, newest first, a reader still needs that has read up to `position`."""
    recent = sum(commit.committed_at >= give_up for commit in commits)
    places = (place for place, commit in enumerate(commits, start=1) if commit.snapshot_id == position)
    return min(recent, next(places, len(commits)))
