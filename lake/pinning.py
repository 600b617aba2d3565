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
    """By name, the newest snapshot of each table that all of them have reached.

    Where Flink wrote none of them, or where the common one has been forgotten, it is the newest.
    """
    opened = {table.name: catalog.load_table(table.identifier) for table in wanted}
    histories = {name: list(reversed(snapshots_after(table, None))) for name, table in opened.items()}
    reached = [_checkpoint(history) for history in histories.values()]
    common = min((checkpoint for checkpoint in reached if checkpoint is not None), default=None)
    return {
        name: Pinned(opened[name].metadata_location, _newest(history, common)) for name, history in histories.items()
    }


def _checkpoint(history: list[SnapshotFacts]) -> int | None:
    return next((commit.flink_checkpoint_id for commit in history if commit.flink_checkpoint_id is not None), None)


def _newest(history: list[SnapshotFacts], common: int | None) -> int | None:
    """The newest in `history` (newest first) whose last commit of Flink is not beyond the checkpoint `common`."""
    for place, commit in enumerate(history):
        last = _checkpoint(history[place:])
        if common is None or last is None or last <= common:
            return commit.snapshot_id
    return history[0].snapshot_id if history else None
