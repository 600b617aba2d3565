"""Whether the tables hold every record of the log once: what is stored twice, what is missing, which log it is.

Offsets of the raw topic need not follow each other: a producer's transactions leave markers between records. So a gap
is asked of Kafka once, read-committed, while it still has it; what was found is kept in the state folder, and the next
look begins there.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from contracts import names
from lake.stored_offsets import positions_sql

Range = tuple[int, int]
# From partition and a range of offsets (the end excluded): those offsets in it at which a record stands, None if Kafka
# has deleted some of them. Raises NotRunning if it does not answer.
Ask = Callable[[int, Range], frozenset[int] | None]


@dataclass(frozen=True)
class Settled:
    """What is known of one partition: of the offsets before `until`, so many (`markers`) are no records."""

    until: int
    markers: int = 0


@dataclass(frozen=True)
class Disagreement:
    """One partition in which log and tables do not agree. Counts are of records; `first` is an offset of them."""

    partition: int
    kind: str
    count: int
    first: int

    def __str__(self) -> str:
        return f"{self.count:,} {self.kind} (from {self.partition}/{self.first} on)"


STORED_TWICE, MISSING, VANISHED = "stored twice", "in the log and not stored", "no longer stored"
UNREAD = "deleted from the log before they were stored"


def examine(
    connection: duckdb.DuckDBPyConnection,
    first_offsets: Mapping[int, int],
    log_starts: Mapping[int, int],
    settled: Mapping[int, Settled],
    ask: Ask,
) -> tuple[tuple[Disagreement, ...], dict[int, Settled]]:
    """Compare the rows of the raw topic's records in `connection` with the log, which has the partitions `log_starts`.

    Each was to be stored from `first_offsets` on (0 for one that is not listed), and is retained from `log_starts` on.
    `connection` shows snapshots up to which no row is missing. Returns what does not agree, and what is settled now.
    Raises NotRunning if there is a gap, and Kafka does not answer.
    """
    found: list[Disagreement] = []
    now = dict(settled)
    for partition, log_start in sorted(log_starts.items()):
        first = first_offsets.get(partition, 0)
        before = settled.get(partition, Settled(first))
        problems, end, now[partition] = _partition(connection, partition, first, before, ask)
        found += problems
        if log_start > end:
            found.append(Disagreement(partition, UNREAD, log_start - end, end))
    return tuple(found), now


def _partition(
    connection: duckdb.DuckDBPyConnection, partition: int, first: int, settled: Settled, ask: Ask
) -> tuple[list[Disagreement], int, Settled]:
    rows = f"(SELECT place FROM ({positions_sql(names.RAW_TOPIC)}) WHERE part = {partition})"
    old, tail, distinct, end = connection.execute(
        f"SELECT count(*) FILTER (place < $until), count(*) FILTER (place >= $until), "
        f"count(DISTINCT place) FILTER (place >= $until), max(place) + 1 FROM {rows}",
        {"until": settled.until},
    ).fetchall()[0]
    end = max(end or 0, settled.until)
    problems = []
    expected = settled.until - first - settled.markers
    if old < expected:
        problems.append(Disagreement(partition, VANISHED, expected - old, first))
    if old > expected or tail > distinct:
        problems.append(Disagreement(partition, STORED_TWICE, old - expected + tail - distinct, first))
    if end - settled.until == distinct:
        return problems, end, Settled(end, settled.markers)
    gaps = _gaps(connection, rows, settled.until, end)
    markers, reached = settled.markers, end
    for gap in gaps:
        records = ask(partition, gap)
        if records is None or records:
            kind, count = (UNREAD, gap[1] - gap[0]) if records is None else (MISSING, len(records))
            problems.append(Disagreement(partition, kind, count, min(records) if records else gap[0]))
            reached = min(reached, gap[0])
        elif reached == end:
            markers += gap[1] - gap[0]
    return problems, end, Settled(reached, markers)


def _gaps(connection: duckdb.DuckDBPyConnection, rows: str, start: int, end: int) -> list[Range]:
    """Return the ranges of offsets from `start` to before `end` of which no row is, in order."""
    found = connection.execute(
        f"SELECT place + 1, next FROM (SELECT place, lead(place) OVER (ORDER BY place) AS next FROM ("
        f"SELECT DISTINCT place FROM {rows} WHERE place >= $start UNION ALL SELECT $start - 1)) "
        f"WHERE next > place + 1 ORDER BY 1",
        {"start": start},
    ).fetchall()
    return [(begin, min(stop, end)) for begin, stop in found]


def read_settled(path: Path) -> dict[int, Settled]:
    """Return by partition what the file at `path` tells is settled; nothing if there is none."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {int(partition): Settled(**entry) for partition, entry in kept.items()}


def write_settled(path: Path, settled: Mapping[int, Settled]) -> None:
    """Keep what is settled for the next look, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({str(part): asdict(entry) for part, entry in settled.items()}), encoding="utf-8")
    draft.replace(path)


def told(found: Iterable[Disagreement]) -> str:
    """Return all of `found` in words."""
    return "; ".join(map(str, found))
