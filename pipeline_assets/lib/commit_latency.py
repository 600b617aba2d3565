"""How long the rows of one Iceberg commit took from their Kafka record until they could be queried.

Reads one column of the data files that the commit added, and nothing of the rest of the table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.manifest import ManifestContent, ManifestEntryStatus
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from contracts import tables

# A topic's own timestamp; where a table has none, its rows are dated by the time of the verdict.
_SENT = "kafka_timestamp"


@dataclass(frozen=True)
class CommitLatency:
    """Milliseconds from the time in the column `since` to the commit, over the `rows` that the commit added."""

    since: str
    rows: int
    p50_ms: float
    p95_ms: float
    max_ms: float


def time_column(table: tables.Table) -> str:
    """The column of `table` from which latency is counted."""
    return _SENT if any(column.name == _SENT for column in table.columns) else table.partition_by


def commit_latency(table: Table, snapshot_id: int, *, since: str) -> CommitLatency | None:
    """The latency of the rows that `snapshot_id` added.

    None where it added none, or where maintenance has removed the files it added: then it can no longer be known.
    """
    delays = commit_delays(table, snapshot_id, since=since)
    if not len(delays):
        return None
    p50, p95, longest = pc.quantile(delays, q=[0.5, 0.95, 1.0]).to_pylist()
    return CommitLatency(since, len(delays), p50, p95, longest)


def commit_delays(table: Table, snapshot_id: int, *, since: str) -> pa.Array:
    """Milliseconds (float64) from the column `since` to the commit, one for each row that `snapshot_id` added."""
    snapshot = table.snapshot_by_id(snapshot_id)
    if snapshot is None:
        return pa.array([], type=pa.float64())
    try:
        chunks = [_times(table, path, since) for path in _added_files(table, snapshot)]
    except FileNotFoundError:
        return pa.array([], type=pa.float64())
    sent = pa.chunked_array(chunks, type=pa.timestamp("us", tz="UTC")).combine_chunks()
    elapsed_us = pc.subtract(pa.scalar(snapshot.timestamp_ms * 1000), sent.cast(pa.int64()))
    return pc.divide(elapsed_us.cast(pa.float64()), 1000.0)


def _added_files(table: Table, snapshot: Snapshot) -> Iterator[str]:
    for manifest in snapshot.manifests(table.io):
        # Only to save reading: manifests of older commits hold nothing that this one added.
        if manifest.added_snapshot_id != snapshot.snapshot_id or manifest.content != ManifestContent.DATA:
            continue
        for entry in manifest.fetch_manifest_entry(table.io):
            # A merged manifest lists older files too.
            if entry.status == ManifestEntryStatus.ADDED and entry.snapshot_id == snapshot.snapshot_id:
                yield entry.data_file.file_path


def _times(table: Table, path: str, column: str) -> pa.Array:
    with table.io.new_input(path).open() as stream:
        found = pq.read_table(stream, columns=[column]).column(column)
    return found.cast(pa.timestamp("us", tz="UTC")).drop_null().combine_chunks()
