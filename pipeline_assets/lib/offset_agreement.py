"""Tells whether the tables hold every record of the log once: what is stored twice, what is missing, which log it is.

Offsets of the raw topic need not follow each other: a producer's transactions leave markers between records. So a gap
is asked of Kafka once, read-committed, while it still has it; what was found is kept in the state folder, and the next
look begins there.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
from pyiceberg.catalog import Catalog

from contracts import names
from contracts.addresses import Addresses
from contracts.paths import StatePaths
from lake.duck import STORED
from lake.log_identity import LogIdentity, recorded_identity
from lake.stored_offsets import committed, positions_sql
from pipeline_assets.lib.kafka_offsets import topic_ids, topic_offsets
from pipeline_assets.lib.kafka_records import recorded_offsets
from pipeline_assets.lib.skips import Skip, passed, read_skips

_ALERTS_TWICE = f"SELECT count(*) - count(DISTINCT (kafka_partition, kafka_offset)) FROM {STORED}.{names.ALERTS}"

Range = tuple[int, int]
# From partition and a range of offsets (the end excluded): those offsets in it at which a record stands, None if Kafka
# has deleted some of them. Raises NotRunning if it does not answer.
Ask = Callable[[int, Range], frozenset[int] | None]


@dataclass(frozen=True)
class Settled:
    """A partition as far as it is known: of the offsets before `until`, so many (`markers`) are no records."""

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


def disagreements(catalog: Catalog, addresses: Addresses) -> tuple[str, ...]:
    """Hold tables and log against each other now; what does not agree, in words, none where nothing was stored yet.

    Raises NotRunning if Kafka does not answer, duckdb.IOException if maintenance removed a file meanwhile.
    """
    identity = recorded_identity(catalog, names.RAW_TOPIC)
    if identity is None:
        return ()
    return _other_topics(catalog, addresses) or _in_tables(catalog, addresses, identity)


def _other_topics(catalog: Catalog, addresses: Addresses) -> tuple[str, ...]:
    """Name the topics that are others than the tables were filled from."""
    ids = topic_ids(addresses.kafka, (names.RAW_TOPIC, names.ALERT_TOPIC), timeout=3)
    problems = []
    for topic in (names.RAW_TOPIC, names.ALERT_TOPIC):
        was = recorded_identity(catalog, topic)
        if was is None or ids.get(topic) == was.topic_id:
            continue
        what = "is gone" if topic not in ids else "was deleted and made again: its offsets name other records now"
        problems.append(f"the topic {topic} {what}")
    return tuple(problems)


def _in_tables(catalog: Catalog, addresses: Addresses, identity: LogIdentity) -> tuple[str, ...]:
    paths = StatePaths(Path(addresses.pipeline_state))
    settled = read_settled(paths.settled_offsets)
    skips = passed(read_skips(paths.skips)).get(names.RAW_TOPIC, {})
    (log,) = topic_offsets(addresses.kafka, (names.RAW_TOPIC,), timeout=3)
    with committed(catalog, addresses) as (_, connection):
        found, now = examine(
            connection,
            identity.first_offsets,
            {part: 0 if _skipped(skips.get(part), start) else start for part, start in log.earliest.items()},
            settled,
            lambda part, gap: _records_in(addresses, skips.get(part), part, gap),
        )
        ((alerts_twice,),) = connection.execute(_ALERTS_TWICE).fetchall()
    if now != settled:
        write_settled(paths.settled_offsets, now)
    problems = (f"records of {names.RAW_TOPIC}: {'; '.join(map(str, found))}",) if found else ()
    return problems + ((f"alerts stored twice: {alerts_twice:,}",) if alerts_twice else ())


def _skipped(skip: Skip | None, log_start: int) -> bool:
    """Tell whether a person has passed over all that was deleted before `log_start`."""
    return skip is not None and log_start <= skip.offset + 1


def _records_in(addresses: Addresses, skip: Skip | None, partition: int, gap: Range) -> frozenset[int] | None:
    """Return the offsets of `gap` that have a record; none of what a person passed over after it had been deleted."""
    found = recorded_offsets(addresses.kafka, names.RAW_TOPIC, partition, *gap, timeout=3)
    return frozenset() if found is None and _skipped(skip, gap[1]) else found
