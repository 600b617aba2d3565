"""One look at a running pipeline: the health of its components, how far topics and jobs are, what the tables hold."""

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from contracts import names, tables
from contracts.addresses import Addresses
from contracts.errors import NotRunning
from contracts.paths import StatePaths
from lake.catalog import open_catalog
from lake.duck import connect
from lake.snapshots import current_snapshot, newest_stream_commit, snapshots_after
from operations.commits import Patience, find_cause, judge_commits
from operations.embedded.lifecycle import Pipeline
from operations.health import Component, Health
from operations.held_back import tell_of_transactions
from operations.offsets import compare_offsets
from operations.table_files import examine_files
from pipeline_assets.lib.commit_latency import commit_delays
from pipeline_assets.lib.kafka_lag import lags, overdue
from pipeline_assets.lib.kafka_offsets import topic_offsets
from pipeline_assets.lib.open_transactions import OpenTransaction, open_transactions

# Latencies are of the rows that arrived in this span.
_RECENT = timedelta(minutes=5)
_COMMITS = 12
_DISAGREEMENT = "validator_disagreement"
# Of a disk: below the one the status warns, below the other nothing can be relied on to be written.
_LITTLE_BYTES, _FULL_BYTES = 2**30, 32 * 2**20


@dataclass(frozen=True)
class TopicStatus:
    """A topic: offsets ever given in it, by each job that reads it the records that no checkpoint covers yet, and what
    holds its readers back."""

    topic: str
    written: int
    lag: dict[str, int]
    open_transactions: tuple[OpenTransaction, ...] = ()


@dataclass(frozen=True)
class TableStatus:
    """A table: its rows, data files and bytes, and the age of its newest commit in seconds (None before the first)."""

    table: str
    rows: int
    files: int
    bytes: int
    commit_age_seconds: float | None


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds over `count` rows of the last five minutes; None where there were none."""

    count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class LakeStatus:
    """What the tables tell. `rate` is transactions a second over the last five minutes."""

    tables: tuple[TableStatus, ...]
    rate: float
    alert_latency: Latency
    storage_latency: Latency
    alerts_by_rule: dict[str, int]
    alerts_by_severity: dict[str, int]
    dead_letters_by_reason: dict[str, int]


@dataclass(frozen=True)
class Disk:
    """Bytes that the state folder takes, and that are free where it lies."""

    used_bytes: int
    free_bytes: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """As it is now. A file that goes away meanwhile is not counted."""
        used = 0
        for parent, _, names_ in os.walk(folder):
            for name in names_:
                with suppress(FileNotFoundError):
                    used += os.lstat(os.path.join(parent, name)).st_blocks * 512
        return cls(used, shutil.disk_usage(folder).free)


@dataclass(frozen=True)
class Status:
    """Everything `pipeline status` shows, and `--json` prints: each class here is an object, each field a key.

    ```
    {"healthy": bool,
     "addresses": {"kafka_bootstrap_servers": str, ...},                # the fields of Addresses
     "components": [{"name": str, "health": "healthy" | "starting" | "unhealthy", "detail": str,
                     "pid": int | null, "up_seconds": int, "memory_mb": int | null}],
     "warnings": [str],                                                 # whole sentences; they leave `healthy` as it is
     "topics": [{"topic": str, "written": int, "lag": {job: int},       # empty while the broker does not answer
                 "open_transactions": [{"topic": str, "partition": int, "first_offset": int, "age_seconds": float,
                                        "producer_id": int | null, "producer_epoch": int | null,
                                        "transactional_id": str | null, "timeout_seconds": float | null}]}],
     "lake": null | {"tables": [{"table": str, "rows": int, "files": int, "bytes": int,
                                 "commit_age_seconds": float | null}],
                     "rate": float,
                     "alert_latency": {"count": int, "p50_ms": float | null, "p95_ms": ..., "p99_ms": ...},
                     "storage_latency": the same,
                     "alerts_by_rule": {rule id: int}, "alerts_by_severity": {severity: int},
                     "dead_letters_by_reason": {reason code: int}},
     "disk": {"used_bytes": int, "free_bytes": int}}                    # of the state folder
    ```
    `lake` is null before the tables were made, and where they cannot be read at this moment. Keys may be added and
    are not renamed or removed. Where no pipeline runs nothing is printed, and the exit code is 3.
    """

    healthy: bool
    addresses: Addresses
    components: tuple[Component, ...]
    warnings: tuple[str, ...]
    topics: tuple[TopicStatus, ...]
    lake: LakeStatus | None
    disk: Disk | None = None


def take_status(pipeline: Pipeline) -> Status:
    """The status now. Raises NotRunning."""
    components = pipeline.components(memory=True)
    addresses = pipeline.addresses()
    try:
        topics = topic_statuses(addresses)
    except NotRunning:
        topics = ()  # the broker's own line says so
    now = datetime.now(UTC)
    files = examine_files(addresses)
    components = (*components, files) if files else components
    # Nothing else opens tables of which a file cannot be read.
    lake = take_lake_status(addresses, now=now) if files and files.health is Health.HEALTHY else None
    if lake:
        with open_catalog(addresses) as catalog:
            offsets = compare_offsets(catalog, addresses)
        components = (*components, _commits(pipeline, addresses, components, now), offsets)
    full, little = _room(pipeline.settings.paths)
    opened = [one for topic in topics for one in topic.open_transactions]
    held, waiting = tell_of_transactions(opened, addresses.kafka)
    components = (*components, *full, *held)
    return Status(
        healthy=all(component.health is Health.HEALTHY for component in components),
        addresses=addresses,
        components=components,
        warnings=(*_warnings(lake), *little, *waiting),
        topics=topics,
        lake=lake,
        disk=Disk.of(pipeline.settings.paths.root),
    )


def _room(paths: StatePaths) -> tuple[tuple[Component, ...], tuple[str, ...]]:
    """Return the fault, or the warning, that a disk of the state folder is full; neither if there is room."""
    folders = [folder for folder in (paths.root, paths.warehouse) if folder.exists()]
    free, folder = min((shutil.disk_usage(folder).free, folder) for folder in folders)
    words = f"the disk of {folder} has {free // 2**20:,} MB left; make room there, or nothing can be written any more"
    if free < _FULL_BYTES:
        return (Component("disk", Health.UNHEALTHY, words),), ()
    return (), (words,) if free < _LITTLE_BYTES else ()


def _commits(pipeline: Pipeline, addresses: Addresses, components: tuple[Component, ...], now: datetime) -> Component:
    catalog = open_catalog(addresses)
    name = f"job {names.LAKEHOUSE_JOB}"
    return judge_commits(
        {table.name: newest_stream_commit(catalog.load_table(table.identifier)) for table in tables.stream_tables()},
        now=now,
        job_seconds=next((component.up_seconds for component in components if component.name == name), 0),
        patience=Patience.of(pipeline.settings),
        overdue=lambda before: _overdue(addresses, before),
        why=lambda: find_cause(pipeline.settings.paths),
    )


def _overdue(addresses: Addresses, before: datetime) -> int:
    """Raw records sent before that time which no checkpoint of `lakehouse` covers; 0 where the broker is away."""
    try:
        return overdue(addresses.kafka, names.LAKEHOUSE_JOB, names.RAW_TOPIC, before, timeout=3)
    except NotRunning:
        return 0


def _warnings(lake: LakeStatus | None) -> tuple[str, ...]:
    count = lake.dead_letters_by_reason.get(_DISAGREEMENT, 0) if lake else 0
    if not count:
        return ()
    return (
        f"dead letters with the reason {_DISAGREEMENT}: {count:,}. The stream refused them though the contract accepts "
        "them, a defect of this pipeline and not of the records; please report one",
    )


def topic_statuses(addresses: Addresses) -> tuple[TopicStatus, ...]:
    """Return how far topics and jobs are. Raises NotRunning if the broker does not answer."""
    found = topic_offsets(addresses.kafka, names.TOPICS, timeout=3)
    behind = lags(addresses.kafka, found, timeout=3)
    opened = open_transactions(addresses.kafka, found, timeout=3)
    return tuple(
        TopicStatus(
            topic.topic, topic.written, behind[topic.topic], tuple(one for one in opened if one.topic == topic.topic)
        )
        for topic in found
    )


_LAKE_SQL = f"""
WITH recent AS (
  SELECT kafka_partition, kafka_offset, kafka_timestamp FROM {names.TRANSACTIONS}
  WHERE kafka_timestamp > $since
), delays AS (
  SELECT epoch_us(a.kafka_timestamp - r.kafka_timestamp) / 1000 AS ms
  FROM {names.ALERTS} AS a
  JOIN recent AS r ON a.source_partition = r.kafka_partition AND a.source_offset = r.kafka_offset
)
SELECT (SELECT count(*) FROM recent), (SELECT min(kafka_timestamp) FROM recent),
  count(ms), quantile_cont(ms, [0.5, 0.95, 0.99]) FROM delays
"""


def take_lake_status(addresses: Addresses, *, now: datetime) -> LakeStatus | None:
    """What the tables tell at `now` (aware); None before they were made."""
    catalog = open_catalog(addresses)
    try:
        with connect(catalog, addresses.iceberg_warehouse) as connection:
            recent, first, alerts, quantiles = connection.execute(_LAKE_SQL, {"since": now - _RECENT}).fetchall()[0]
            by_rule = _counts(connection, names.ALERTS, "rule_id")
            by_severity = _counts(connection, names.ALERTS, "severity")
            by_reason = _counts(connection, names.DEAD_LETTERS, "reason_code")
    except (
        NoSuchTableError,
        duckdb.IOException,
    ):  # not made yet; or a file was removed by maintenance while it was read
        return None
    return LakeStatus(
        tables=tuple(_table(catalog.load_table(table.identifier), table.name, now) for table in tables.stream_tables()),
        # A pipeline younger than the span has had less time.
        rate=recent / max(1.0, (now - first).total_seconds()) if recent else 0.0,
        alert_latency=Latency(alerts, *(quantiles or (None, None, None))),
        storage_latency=_storage_latency(catalog.load_table(tables.transactions().identifier)),
        alerts_by_rule=by_rule,
        alerts_by_severity=by_severity,
        dead_letters_by_reason=by_reason,
    )


def _counts(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> dict[str, int]:
    sql = f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 2 DESC, 1"
    return dict(connection.execute(sql).fetchall())


def _table(table: Table, name: str, now: datetime) -> TableStatus:
    newest = current_snapshot(table)
    if newest is None:
        return TableStatus(name, 0, 0, 0, None)
    age = max(0.0, (now - newest.committed_at).total_seconds())
    return TableStatus(name, newest.total_rows or 0, newest.total_files or 0, newest.total_bytes or 0, round(age, 1))


def _storage_latency(table: Table) -> Latency:
    """Over the newest commits: 12 of them are a minute at the default interval."""
    # Not those of maintenance, which bring old rows.
    newest = [commit for commit in snapshots_after(table, None) if not commit.maintenance][-_COMMITS:]
    chunks = [commit_delays(table, commit.snapshot_id, since="kafka_timestamp") for commit in newest]
    delays = pa.chunked_array(chunks, type=pa.float64())
    if not len(delays):
        return Latency(0, None, None, None)
    return Latency(len(delays), *pc.quantile(delays, q=[0.5, 0.95, 0.99]).to_pylist())
