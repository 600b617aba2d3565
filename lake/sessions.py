"""The sessions, `finance.sessions`: one row for each life of the pipeline, written while it runs and closed at its end.

Counted are the rows that Flink wrote in its time, so that every row belongs to one session. DuckDB counts, PyIceberg
writes: both take a while to import and much memory, so this is for a Dagster run and for `pipeline down`, not for a
sensor (`begin` is: it counts nothing).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import tenacity
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException

from contracts import names, tables
from contracts.sessions import began
from lake.ledger import record

RUNNING, STOPPED, LOST = "running", "stopped", "lost"
_LATENCIES_OVER = timedelta(hours=1)
_MAPS = ("alerts_by_rule", "versions")
# The sensor of the ledger, a run and `pipeline down` may write at once; each of them then begins anew.
_again = tenacity.retry(
    retry=tenacity.retry_if_exception_type(CommitFailedException),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)


@dataclass(frozen=True)
class Session:
    """One row; the columns are explained in `contracts/tables.py`. Times are aware, latencies in milliseconds."""

    session_id: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    seen_at: datetime
    records: int = 0
    transactions: int = 0
    rejected: int = 0
    alerts: int = 0
    alerts_by_rule: Mapping[str, int] = field(default_factory=dict)
    alert_latency_p50_ms: int | None = None
    alert_latency_p95_ms: int | None = None
    alert_latency_p99_ms: int | None = None
    storage_latency_p50_ms: int | None = None
    storage_latency_p95_ms: int | None = None
    storage_latency_p99_ms: int | None = None
    restarts: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@_again
def begin(catalog: Catalog, session_id: str, versions: Mapping[str, str], *, now: datetime) -> bool:
    """Gives the session its row, without counts. Returns whether it had none."""
    table = catalog.load_table(tables.sessions().identifier)
    if len(table.scan(f"session_id = '{session_id}'", selected_fields=("session_id",)).to_arrow()):
        return False
    _write(catalog, [Session(session_id, RUNNING, began(session_id), None, now, versions=versions)])
    return True


@_again
def update(
    catalog: Catalog,
    warehouse: str,
    session_id: str | None,
    *,
    now: datetime,
    ended: bool = False,
    restarts: int | None = None,
    versions: Mapping[str, str] | None = None,
) -> tuple[Session, ...]:
    """Counts anew for the session that runs and for each that is still open; returns their rows, the oldest first.

    `session_id` is the one that runs (None: the newest that is open), with `ended` the one that has just ended in
    order. Any other open session ended without a word. What is None of `restarts` and `versions` stays as it was.
    """
    known = {session.session_id: session for session in read(catalog)}
    if session_id and session_id not in known:
        known[session_id] = Session(session_id, RUNNING, began(session_id), None, now)
    ordered = sorted(known.values(), key=lambda session: session.started_at)
    session_id = session_id or _newest_open(ordered)
    record(catalog, session=session_id)
    counted = []
    ends = [*(session.started_at for session in ordered[1:]), now]
    for session, until in zip(ordered, ends, strict=False):
        ours = session.session_id == session_id
        if session.state != RUNNING and not ours:
            continue
        found = _counted(catalog, warehouse, session, until=until)
        if not ours:
            found = replace(found, state=LOST, ended_at=found.ended_at or session.started_at)
        elif ended:
            found = replace(found, state=STOPPED, ended_at=now)
        else:
            found = replace(found, state=RUNNING, ended_at=None)
        if ours:
            found = replace(
                found,
                restarts=session.restarts if restarts is None else restarts,
                versions=session.versions if versions is None else versions,
            )
        counted.append(replace(found, seen_at=now))
    if counted:
        _write(catalog, counted)
    return tuple(counted)


def running(catalog: Catalog) -> str | None:
    """The newest session that is open, for a process that belongs to none; None where all are closed."""
    return _newest_open(sorted(read(catalog), key=lambda session: session.started_at))


def _newest_open(ordered: Sequence[Session]) -> str | None:
    return next((session.session_id for session in reversed(ordered) if session.state == RUNNING), None)


def read(catalog: Catalog) -> Iterator[Session]:
    """Every session that has a row."""
    for row in catalog.load_table(tables.sessions().identifier).scan().to_arrow().to_pylist():
        yield Session(**row | {name: dict(row[name]) for name in _MAPS})


def _write(catalog: Catalog, rows: Sequence[Session]) -> None:
    table = catalog.load_table(tables.sessions().identifier)
    data = [asdict(row) | {name: list(getattr(row, name).items()) for name in _MAPS} for row in rows]
    table.upsert(pa.Table.from_pylist(data, schema=table.schema().as_arrow()), join_cols=["session_id"])


_COUNTS = """
SELECT
  (SELECT count(*) FROM transactions WHERE processed_at >= $since AND processed_at < $until),
  (SELECT count(*) FROM dead_letters WHERE failed_at >= $since AND failed_at < $until),
  (SELECT max(committed_at) FROM commits WHERE committed_at >= $since AND committed_at < $until)
"""
_RULES = """
SELECT rule_id, count(*) FROM alerts WHERE processed_at >= $since AND processed_at < $until GROUP BY 1 ORDER BY 1
"""
_SENT = """
SELECT kafka_partition, kafka_offset, kafka_timestamp FROM transactions
WHERE processed_at >= $since AND processed_at < $until
"""
_ALERT_LATENCY = f"""
SELECT quantile_disc(epoch_ms(alerts.kafka_timestamp) - epoch_ms(sent.kafka_timestamp), [0.5, 0.95, 0.99])
FROM alerts JOIN ({_SENT}) AS sent
  ON source_partition = sent.kafka_partition AND source_offset = sent.kafka_offset
WHERE processed_at >= $since AND processed_at < $until
"""
# Each row's commit is the first whose offsets reach it.
_STORAGE_LATENCY = f"""
SELECT quantile_disc(epoch_ms(committed_at) - epoch_ms(kafka_timestamp), [0.5, 0.95, 0.99])
FROM ({_SENT}) AS sent ASOF JOIN (
  SELECT source_partition, last_offset, committed_at FROM commits
  WHERE table_name = '{names.TRANSACTIONS}' AND committed_at >= $since
) AS brought ON sent.kafka_partition = source_partition AND sent.kafka_offset <= last_offset
"""


def _counted(catalog: Catalog, warehouse: str, session: Session, *, until: datetime) -> Session:
    """The session with what was written between its start and `until`; `ended_at` is its last commit."""
    from lake.duck import connect

    whole = {"since": session.started_at, "until": until}
    with connect(catalog, warehouse) as connection:
        ((transactions, rejected, last_commit),) = connection.execute(_COUNTS, whole).fetchall()
        by_rule = dict(connection.execute(_RULES, whole).fetchall())
        hour = whole | {"since": max(session.started_at, (last_commit or until) - _LATENCIES_OVER)}
        alert, storage = (
            connection.execute(sql, hour).fetchall()[0][0] or (None, None, None)
            for sql in (_ALERT_LATENCY, _STORAGE_LATENCY)
        )
    return replace(
        session,
        ended_at=last_commit.astimezone(UTC) if last_commit else None,
        records=transactions + rejected,
        transactions=transactions,
        rejected=rejected,
        alerts=sum(by_rule.values()),
        alerts_by_rule=by_rule,
        **{
            f"{kind}_latency_p{percent}_ms": value
            for kind, values in (("alert", alert), ("storage", storage))
            for percent, value in zip((50, 95, 99), values, strict=True)
        },
    )
