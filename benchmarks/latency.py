"""Measures the running pipe from outside: `uv run python -m benchmarks.latency`.

Starts a pipeline of its own on free ports and measures, per rate: alert latency (producer's send -> alert read by a
consumer), storage latency (producer's send -> row visible to a reader of the table), and the memory of each process;
once as it is, once while all tables are compacted without a pause. Each rate runs for a while before it is measured:
Java compiles what it finds to be hot. Everything is read as a user would read it: a Kafka consumer, the Iceberg
catalog, `pipeline status`. Results go to `benchmarks/results/latency.json` and to the screen.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Annotated

import numpy as np
import rich.table
import typer
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from numpy.typing import ArrayLike, NDArray
from pyiceberg.table import Table
from rich.console import Console

from benchmarks.harness import Bench, compacting, running_pipeline, write_result
from contracts import names
from contracts.tables import transactions
from lake.catalog import open_catalog
from operations.topics import date_by

_WARM_SECONDS = 20
Position = tuple[int, int]


@dataclass(frozen=True)
class Percentiles:
    """Of `count` latencies, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, *milliseconds: ArrayLike) -> "Percentiles":
        """Those of all `milliseconds`; there must be one."""
        every = np.concatenate(milliseconds)
        p50, p95, p99, longest = np.percentile(every, [50, 95, 99, 100])
        return cls(len(every), *(round(float(value), 1) for value in (p50, p95, p99, longest)))


@dataclass(frozen=True)
class Measurement:
    """One rate, in transactions a second, over `seconds`. `memory_mb` is the proportional set size by component.

    `compactions` counts the commits that replaced small files meanwhile; None where nothing compacted.
    """

    rate: int
    seconds: int
    compactions: int | None
    alert: Percentiles
    storage: Percentiles
    memory_mb: dict[str, int]


@dataclass
class Arrivals:
    """When a reader first saw things, in epoch seconds: alerts by their transaction's position, tables as they were."""

    alerts: dict[Position, float] = field(default_factory=dict)
    tables: list[tuple[float, Table]] = field(default_factory=list)


def main(
    rates: Annotated[str, typer.Option(help="Transactions a second, separated by commas.")] = "10,1000,10000",
    seconds: Annotated[int, typer.Option(min=20, help="How long each rate is measured.")] = 120,
) -> None:
    """Measure alert latency, storage latency and memory at several rates, without and with compaction."""
    console = Console(stderr=True)
    with running_pipeline() as bench:
        console.print(f"up after {bench.up_seconds} s")
        # Counted from the producer's call: the broker's clock would leave out what the record waited before it.
        date_by(AdminClient({**bench.addresses.kafka.librdkafka()}), names.RAW_TOPIC, "CreateTime")
        measured = []
        for rate in map(int, rates.split(",")):
            bench.send(rate=rate, records=rate * _WARM_SECONDS)
            measured += [_measure(bench, rate, seconds, console, compacted=compacted) for compacted in (False, True)]
    write_result(
        "latency",
        up_seconds=bench.up_seconds,
        down_seconds=bench.stop_seconds,
        rates=[asdict(measurement) for measurement in measured],
    )
    Console().print(_table(measured))


def _measure(bench: Bench, rate: int, seconds: int, console: Console, *, compacted: bool) -> Measurement:
    console.print(f"{rate} transactions a second for {seconds} s{', tables compacted' if compacted else ''} ...")
    beginning = bench.ends()
    compactor = compacting(bench) if compacted else nullcontext(None)
    with _watching(bench) as arrivals, compactor as compactions:
        bench.send(rate=rate, records=rate * seconds)
        memory = _memory(bench)
        time.sleep(12)  # two commit intervals: the last rows become visible
    sent = _sent(bench, beginning)
    alert = [
        (seen - sent[partition][offset - beginning[partition]]) * 1000
        for (partition, offset), seen in arrivals.alerts.items()
        if offset >= beginning[partition]
    ]
    storage = _storage(arrivals, sent, beginning)
    return Measurement(
        rate,
        seconds,
        compactions.count if compactions else None,
        Percentiles.of(alert),
        Percentiles.of(*storage),
        memory,
    )


@contextmanager
def _watching(bench: Bench) -> Iterator[Arrivals]:
    """Notes, from two threads, when alerts and snapshots are seen."""
    addresses = bench.addresses
    arrivals, ending = Arrivals(), threading.Event()
    consumer = Consumer(
        {
            **addresses.kafka.librdkafka(),
            "group.id": "benchmark",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
    )
    ends = bench.ends(names.ALERT_TOPIC)
    consumer.assign([TopicPartition(names.ALERT_TOPIC, number, end) for number, end in ends.items()])

    def alerts() -> None:
        while not ending.is_set():
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            now, alert = time.time(), json.loads(message.value() or b"{}")
            arrivals.alerts.setdefault((alert["source_partition"], alert["source_offset"]), now)

    def snapshots() -> None:
        catalog, known = open_catalog(addresses), None
        while not ending.wait(0.1):
            table = catalog.load_table(transactions().identifier)
            if table.metadata.current_snapshot_id != known:
                arrivals.tables.append((time.time(), table))
                known = table.metadata.current_snapshot_id

    threads = [threading.Thread(target=watch, daemon=True) for watch in (alerts, snapshots)]
    for thread in threads:
        thread.start()
    time.sleep(1)  # the consumer's first fetch
    try:
        yield arrivals
    finally:
        ending.set()
        for thread in threads:
            thread.join()
        consumer.close()


def _sent(bench: Bench, beginning: dict[int, int]) -> dict[int, NDArray[np.float64]]:
    """When each record since `beginning` was sent, in epoch seconds, in the order of each partition.

    By its own Kafka timestamp, which is set when the producer is called, in whole milliseconds.
    """
    consumer = Consumer({**bench.addresses.kafka.librdkafka(), "group.id": "benchmark-sent"})
    consumer.assign([TopicPartition(names.RAW_TOPIC, number, offset) for number, offset in beginning.items()])
    sent = {number: np.full(end - beginning[number], np.nan) for number, end in bench.ends().items()}
    missing = sum(map(len, sent.values()))
    try:
        while missing:
            for message in consumer.consume(10_000, timeout=5):
                number = message.partition() or 0
                if (place := (message.offset() or 0) - beginning[number]) < len(sent[number]):
                    sent[number][place] = message.timestamp()[1] / 1000
                    missing -= 1
    finally:
        consumer.close()
    return sent


def _storage(
    arrivals: Arrivals, sent: dict[int, NDArray[np.float64]], beginning: dict[int, int]
) -> list[NDArray[np.float64]]:
    """Milliseconds from each record's sending until the first table was seen that holds it, or one sent after it.

    The job stores the records of a partition in their order; those it refuses go the same way, into another table.
    """
    delays = []
    stored = dict.fromkeys(sent, 0)
    for seen, table in arrivals.tables:
        rows = table.scan(selected_fields=("kafka_partition", "kafka_offset")).to_arrow()
        newest = rows.group_by("kafka_partition").aggregate([("kafka_offset", "max")]).to_pydict()
        for number, offset in zip(newest["kafka_partition"], newest["kafka_offset_max"], strict=True):
            until = offset + 1 - beginning[number]
            if until > stored[number]:
                delays.append((seen - sent[number][stored[number] : until]) * 1000)
                stored[number] = until
    return delays


def _memory(bench: Bench) -> dict[str, int]:
    status = bench.status()
    return {part["name"]: part["memory_mb"] for part in status["components"] if part["memory_mb"]}


def _table(measured: list[Measurement]) -> rich.table.Table:
    table = rich.table.Table("tx/s", "compactions", "latency", "p50 ms", "p95 ms", "p99 ms", "longest ms", "count")
    for one in measured:
        for name, found in (("alert", one.alert), ("storage", one.storage)):
            values = (found.p50, found.p95, found.p99, found.longest, found.count)
            table.add_row(str(one.rate), str(one.compactions or "none"), name, *(f"{value:,}" for value in values))
        memory = ", ".join(f"{name} {size}" for name, size in one.memory_mb.items())
        table.add_row(str(one.rate), "", f"memory: {sum(one.memory_mb.values())} MB ({memory})")
    return table


if __name__ == "__main__":
    typer.run(main)
