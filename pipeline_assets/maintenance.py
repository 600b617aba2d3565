"""Maintenance of the Iceberg tables while the stream writes: compaction, expiry, removal of orphans and of repeats.

What is done, and why it is safe, stands in `lake/`; here it is told to Dagster: what may be chosen, when it runs, what
it reports.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import dagster as dg
from pydantic import Field
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

from contracts import tables
from lake.compaction import Compaction, compact, planned
from lake.expiry import Expiry, expire
from lake.ledger import positions
from lake.orphans import Orphans, remove_orphans
from lake.repeats import Repeats
from pipeline_assets.graph import OWNERS, table_key
from pipeline_assets.lib.sensor_cursors import sensor_cursor
from pipeline_assets.lib.snapshot_cursor import SnapshotCursor
from pipeline_assets.resources import LakeResource
from pipeline_assets.sensors.iceberg_snapshots import iceberg_snapshots

COMPACTION, EXPIRY, ORPHANS, REPEATS = (
    dg.AssetKey(["maintenance", name]) for name in ("compaction", "snapshot_expiry", "orphan_files", "repeated_rows")
)
_TABLES = [table_key(table.name) for table in tables.all_tables()]
# One at a time over all runs: two compactions of a table would refuse each other.
_POOL = "iceberg_commit"
# A commit that another one refused is tried again; so is a catalog that was locked. What else fails would fail again.
_TRANSIENT = (CommitFailedException, ValidationException, OperationalError)
_RETRY = dg.RetryPolicy(max_retries=3, delay=20, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

Done = TypeVar("Done", Compaction, Expiry, Orphans, Repeats)


class Scope(dg.Config):
    """What a maintenance run covers."""

    dry_run: bool = Field(default=False, description="Only say what would be done.")
    only: list[str] = Field(default=[], description="Names of tables, as `transactions`. Empty: all of them.")

    def covered(self) -> tuple[tables.Table, ...]:
        """The tables that there may be."""
        return tables.all_tables()

    def chosen(self, catalog: Catalog) -> Iterator[tuple[tables.Table, Table]]:
        """The tables that exist. Raises dg.Failure, which is not tried again, for a name that is none."""
        known = {table.name: table for table in self.covered()}
        if unknown := sorted(set(self.only) - known.keys()):
            message = f"only: no such table: {', '.join(unknown)}; there are {', '.join(known)}"
            raise dg.Failure(message, allow_retries=False)
        for name in self.only or known:
            try:
                yield known[name], catalog.load_table(known[name].identifier)
            except NoSuchTableError:
                continue


class CompactionScope(Scope):
    """What a compaction covers, and how large the new files become."""

    target_mb: int = Field(default=128, ge=1, description="Size of the files to make, in MiB.")

    def covered(self) -> tuple[tables.Table, ...]:
        """Not the sessions: a row of theirs that changed meanwhile would come back. They are few, and written anew."""
        return tables.appended_tables()


class ExpiryScope(Scope):
    """What an expiry covers, and what it keeps."""

    older_than_minutes: int = Field(default=60, ge=0, description="Commits that are younger stay.")
    keep: int = Field(default=20, ge=1, description="So many of the newest commits stay, however old.")
    give_up_hours: int = Field(
        default=24, ge=1, description="After so long a commit is kept no longer for a sensor that has not read it."
    )


class OrphanScope(Scope):
    """What a removal of orphan files covers."""

    guard_minutes: int = Field(
        default=180, ge=0, description="Files that are younger stay: a writer may be about to commit them."
    )


class RepeatsScope(Scope):
    """Scope of a removal of repeated rows."""

    def covered(self) -> tuple[tables.Table, ...]:
        """Tables of which it is said when two rows are one."""
        return tuple(table for table in tables.all_tables() if table.once)


@dg.asset(
    key=COMPACTION, deps=_TABLES, group_name="maintenance", kinds={"iceberg", "parquet"}, owners=OWNERS, pool=_POOL,
    retry_policy=_RETRY,
)  # fmt: skip
def compaction(lake: LakeResource, config: CompactionScope) -> dg.MaterializeResult[None]:
    """Merges the small files of each day into files of about 128 MB, the oldest day first, while the stream goes on."""
    target = config.target_mb * 2**20

    def one(definition: tables.Table, table: Table) -> Compaction:
        if not config.dry_run:
            return compact(table, definition, target_bytes=target)
        groups = planned(table, target_bytes=target)
        size = sum(task.file.file_size_in_bytes for group in groups for task in group)
        return Compaction(sum(map(len, groups)), len(groups), size, size)

    return _report(lake, config, one)


@dg.asset(
    key=EXPIRY, deps=_TABLES, group_name="maintenance", kinds={"iceberg"}, owners=OWNERS, pool=_POOL,
    retry_policy=_RETRY,
)  # fmt: skip
def snapshot_expiry(
    context: dg.AssetExecutionContext, lake: LakeResource, config: ExpiryScope
) -> dg.MaterializeResult[None]:
    """Forgets old commits, and none that a restore of Flink or a sensor still needs."""
    now, stream = datetime.now(UTC), tables.stream_tables()
    reported = SnapshotCursor.decode(sensor_cursor(context.instance, iceberg_snapshots.name))
    with lake.catalog() as catalog:
        recorded = positions(catalog.load_table(tables.commits().identifier))

    def one(definition: tables.Table, table: Table) -> Expiry:
        return expire(
            table,
            older_than=now - timedelta(minutes=config.older_than_minutes),
            keep=config.keep,
            read=(reported.after(definition.name), recorded.get(definition.name)) if definition in stream else (),
            give_up=now - timedelta(hours=config.give_up_hours),
            dry_run=config.dry_run,
        )

    return _report(lake, config, one)


@dg.asset(
    key=ORPHANS, deps=_TABLES, group_name="maintenance", kinds={"iceberg", "parquet"}, owners=OWNERS,
    pool=_POOL, retry_policy=_RETRY,
)  # fmt: skip
def orphan_files(lake: LakeResource, config: OrphanScope) -> dg.MaterializeResult[None]:
    """Removes files that no commit lists any more, once they are too old to be waiting for their commit."""
    now, guard = datetime.now(UTC), timedelta(minutes=config.guard_minutes)
    return _report(lake, config, lambda _, table: remove_orphans(table, guard=guard, now=now, dry_run=config.dry_run))


@dg.asset(
    key=REPEATS, deps=[table_key(table.name) for table in tables.all_tables() if table.once], group_name="maintenance",
    kinds={"iceberg", "parquet"}, owners=OWNERS, pool=_POOL, retry_policy=_RETRY,
)  # fmt: skip
def repeated_rows(lake: LakeResource, config: RepeatsScope) -> dg.MaterializeResult[None]:
    """Removes alerts that were stored a second time; readers see the first one alone, before and after."""
    from lake.repeats_removal import remove_repeats  # DuckDB with it

    warehouse = lake.warehouse
    return _report(
        lake, config, lambda definition, table: remove_repeats(table, definition, warehouse, dry_run=config.dry_run)
    )


def _report(lake: LakeResource, scope: Scope, one: Callable[[tables.Table, Table], Done]) -> dg.MaterializeResult[None]:
    """Does it to each table; tells each table's figures in a table, and the sums as numbers, which Dagster plots.

    A table whose maintenance fails keeps no other from its own. Raises dg.Failure then, with what was done.
    """
    done: dict[str, Done] = {}
    failed: list[Exception] = []
    with lake.catalog() as catalog:
        for definition, table in scope.chosen(catalog):
            try:
                done[definition.name] = one(definition, table)
            except Exception as error:
                error.add_note(f"the table {definition.name}")
                failed.append(error)
    metadata: dict[str, Any] = {"dry_run": scope.dry_run, **_sums(done), "tables": _table(done)}
    if failed:
        words = "; ".join(f"{error.__notes__[-1]}: {type(error).__name__} {error}" for error in failed)
        group = ExceptionGroup("maintenance failed", failed)
        raise dg.Failure(words, metadata=metadata, allow_retries=group.subgroup(_TRANSIENT) is not None) from group
    return dg.MaterializeResult(metadata=metadata)


def _sums(done: dict[str, Done]) -> dict[str, int]:
    values = list(done.values())
    numbers = [field.name for field in fields(values[0]) if field.type is int or field.type == "int"] if values else []
    return {name: sum(getattr(value, name) for value in values) for name in numbers}


def _table(done: dict[str, Done]) -> dg.TableMetadataValue:
    records: list[dict[str, Any]] = []
    for name, value in done.items():
        row = {field.name.replace("_", " "): getattr(value, field.name) for field in fields(value)}
        records.append({"table": name} | {key: _text(found) for key, found in row.items()})
    return dg.MetadataValue.table([dg.TableRecord(record) for record in records])


def _text(value: object) -> int | str:
    return value if isinstance(value, int) else ", ".join(value) if isinstance(value, tuple) else str(value)


maintenance_job = dg.define_asset_job(
    "lake_maintenance",
    selection=dg.AssetSelection.assets(repeated_rows, compaction, snapshot_expiry, orphan_files),
    description="Removes repeated rows, compacts the tables, forgets old commits and removes what neither needs.",
)

# Every hour each table gets 720 commits: then some 1,440 are known at most, 1 MB of metadata that each commit writes.
maintenance_schedule = dg.ScheduleDefinition(
    job=maintenance_job, cron_schedule="5 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
