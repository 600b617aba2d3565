"""How long the rows of one Iceberg commit took from their Kafka record until they could be queried."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from contracts import tables
from lake.added import added_rows

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


def commit_latency(rows: pa.Table, committed_at: datetime, *, since: str) -> CommitLatency | None:
    """The latency of `rows`, which were committed at that time (aware). None for no rows."""
    delays = _delays(rows.column(since), committed_at)
    if not len(delays):
        return None
    p50, p95, longest = pc.quantile(delays, q=[0.5, 0.95, 1.0]).to_pylist()
    return CommitLatency(since, len(delays), p50, p95, longest)


def commit_delays(table: Table, snapshot_id: int, *, since: str) -> pa.Array:
    """Milliseconds (float64) from the column `since` to the commit, one for each row that `snapshot_id` added."""
    snapshot = table.snapshot_by_id(snapshot_id)
    rows = added_rows(table, snapshot_id, columns=(since,))
    if snapshot is None or rows is None:
        return pa.array([], type=pa.float64())
    return _delays(rows.column(since), datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC))


def _delays(sent: pa.ChunkedArray, committed_at: datetime) -> pa.Array:
    moments = sent.cast(pa.timestamp("us", tz="UTC")).drop_null().combine_chunks()
    elapsed_us = pc.subtract(pa.scalar(int(committed_at.timestamp() * 1_000_000)), moments.cast(pa.int64()))
    return pc.divide(elapsed_us.cast(pa.float64()), 1000.0)
