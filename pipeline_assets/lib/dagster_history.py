"""Bounds what Dagster keeps of its own: finished runs with their logs, and the events of assets that Flink writes.

Dagster's retention knows ticks only. A stream that commits every 5 s to three tables leaves 50,000 events a day, each
twice in SQLite (index.db, and the file of the run without an id).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa
from dagster import DagsterInstance, RunsFilter
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as _CHECKS
from dagster._core.storage.event_log.schema import AssetEventTagsTable as _TAGS
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable as _EVENTS
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage

from contracts.errors import PipelineError

# Of events that belong to no run.
_NO_RUN = ""
# Runs read from the storage at once.
_PAGE = 100
# Rows deleted in one transaction: 5,000 take 0.1 s, and whoever reports an event meanwhile waits for no longer.
_ROWS = 5_000


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be: finished runs, events without a run, and the bytes of the databases around it."""

    runs: int
    events: int
    bytes_before: int
    bytes_after: int


def prune(instance: DagsterInstance, *, before: datetime, keep: int = 1_000, dry_run: bool = False) -> Pruned:
    """Removes what is older than `before` (aware); the newest `keep` events without a run stay, however old.

    What an asset last did stays known to its page. Raises PipelineError for a storage that is not SQL.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise PipelineError(f"Dagster's events lie in a {type(storage).__name__}; only an SQL storage can be pruned")
    size = _size(instance)
    runs = _old_runs(instance, before)
    old = _old_events(storage, before, keep)
    with storage.index_connection() as connection:
        events = connection.execute(sa.select(sa.func.count()).select_from(_EVENTS).where(old)).scalar_one()
    if not dry_run:
        for run in runs:
            _delete_run(instance, storage, run)
        with storage.index_connection() as connection:
            evaluated = _CHECKS.c.evaluation_event_storage_id.in_(sa.select(_EVENTS.c.id).where(old))
            connection.execute(_CHECKS.delete().where(evaluated))
        # In SQLite the second holds copies, and ids of its own.
        for connect in (storage.index_connection, partial(storage.run_connection, _NO_RUN)):
            _delete(connect, old)
    return Pruned(len(runs), events, size, _size(instance))


def _old_runs(instance: DagsterInstance, before: datetime) -> list[str]:
    wanted = RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
    found: list[str] = []
    while page := instance.get_run_records(wanted, limit=_PAGE, cursor=found[-1] if found else None):
        found += [record.dagster_run.run_id for record in page]
    return found


def _delete_run(instance: DagsterInstance, storage: SqlEventLogStorage, run_id: str) -> None:
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    storage.delete_events(run_id)
    if isinstance(storage, SqliteEventLogStorage):
        # Dagster empties the run's file, 180 kB, and leaves it.
        storage.dispose()
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{storage.path_for_shard(run_id)}{suffix}").unlink()
    # Last, since an interrupted removal is found by it and done again.
    instance.run_storage.delete_run(run_id)


def _old_events(storage: SqlEventLogStorage, before: datetime, keep: int) -> "sa.ColumnElement[bool]":
    """What tells the events to remove."""
    ours = _EVENTS.c.run_id == _NO_RUN
    newest = sa.select(_EVENTS.c.timestamp).where(ours).order_by(_EVENTS.c.id.desc()).offset(keep - 1).limit(1)
    with storage.index_connection() as connection:
        kept: datetime | None = connection.execute(newest).scalar()
    if kept is None:
        return sa.false()
    moment = before.astimezone(UTC).replace(tzinfo=None)  # Dagster stores UTC without saying so
    return sa.and_(ours, _EVENTS.c.timestamp < min(moment, kept))


def _delete(connect: Callable[[], AbstractContextManager[sa.Connection]], old: "sa.ColumnElement[bool]") -> None:
    while True:
        with connect() as connection:
            ids = list(connection.execute(sa.select(_EVENTS.c.id).where(old).limit(_ROWS)).scalars())
            connection.execute(_TAGS.delete().where(_TAGS.c.event_id.in_(ids)))
            connection.execute(_EVENTS.delete().where(_EVENTS.c.id.in_(ids)))
        if len(ids) < _ROWS:
            return


def _size(instance: DagsterInstance) -> int:
    """Bytes of Dagster's databases on this machine."""
    return sum(path.stat().st_size for path in Path(instance.root_directory).rglob("*.db*") if path.is_file())
