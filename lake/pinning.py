"""Snapshots of several tables that belong together: those of one checkpoint of the job that writes them all.

A checkpoint is committed to one table after the other. Read in between, one has rows of records whose neighbours the
other has not got yet.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog

from contracts import tables
from lake.snapshots import SnapshotFacts, snapshots_after


@dataclass(frozen=True)
class Pinned:
    """One snapshot of a table (None: it has none yet, and no rows), and the metadata file in which it is found."""

    metadata_location: str
    snapshot_id: int | None


def pin(catalog: Catalog, wanted: Iterable[tables.Table]) -> Mapping[str, Pinned]:
    """Return by name the newest snapshot of each table that all of them have reached.

    A table that Flink never wrote to counts as having reached everything. If Flink wrote none of them, or the common
    one has been forgotten, it is the newest; None if a table had no rows at the common one.
    """
    return _pinned(catalog, wanted, unwritten=None)


def pin_committed(catalog: Catalog, wanted: Iterable[tables.Table]) -> Mapping[str, Pinned]:
    """Return by name the newest snapshot of each table up to which every table has all rows, for certain.

    A table that Flink never wrote to has reached nothing: its rows may be those that were not committed any more. Flink
    commits to each table at least every tenth checkpoint, with rows or without.
    """
    return _pinned(catalog, wanted, unwritten=_NOTHING)


@dataclass(frozen=True, order=True)
class _Reached:
    """A checkpoint: those of a job that went on from no state are numbered from 1 again, so its job comes first."""

    job: int
    checkpoint: int


_NOTHING = _Reached(-1, 0)
# The sequence number of a table's first snapshot: before it there were no rows. (Expiry also removes the parent of the
# oldest that it keeps, so that a snapshot without one need not be the first.)
_FIRST = 1


def _pinned(catalog: Catalog, wanted: Iterable[tables.Table], *, unwritten: _Reached | None) -> Mapping[str, Pinned]:
    opened = {table.name: catalog.load_table(table.identifier) for table in wanted}
    histories = {name: list(reversed(snapshots_after(table, None))) for name, table in opened.items()}
    jobs = _jobs_in_order(histories.values())
    reached = [_reached(history, jobs) or unwritten for history in histories.values()]
    if all(found == unwritten for found in reached):
        common = None
    else:
        common = min(found for found in reached if found is not None)
    return {
        name: Pinned(opened[name].metadata_location, _newest(history, jobs, common))
        for name, history in histories.items()
    }


def _jobs_in_order(histories: Iterable[list[SnapshotFacts]]) -> Mapping[str, int]:
    """Number Flink's jobs by their first commit to any of the tables."""
    commits = sorted((commit for history in histories for commit in history), key=lambda commit: commit.committed_at)
    ids = dict.fromkeys(commit.flink_job_id for commit in commits if commit.flink_job_id)
    return {job_id: number for number, job_id in enumerate(ids)}


def _reached(history: list[SnapshotFacts], jobs: Mapping[str, int]) -> _Reached | None:
    """Return the newest checkpoint in `history`, which is newest first."""
    found = (
        _Reached(jobs.get(commit.flink_job_id or "", -1), commit.flink_checkpoint_id)
        for commit in history
        if commit.flink_checkpoint_id is not None
    )
    return next(found, None)


def _newest(history: list[SnapshotFacts], jobs: Mapping[str, int], common: _Reached | None) -> int | None:
    """Return the newest in `history` (newest first) whose last commit of Flink is not beyond the checkpoint `common`.

    None if the table had no rows at that checkpoint. If its snapshots of that time have been forgotten, the newest.
    """
    if common == _NOTHING:
        return None
    for place, commit in enumerate(history):
        last = _reached(history[place:], jobs)
        if common is None or last is None or last <= common:
            return commit.snapshot_id
    return history[0].snapshot_id if history and history[-1].sequence_number != _FIRST else None
